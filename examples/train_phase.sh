#!/bin/sh
# Trains the weights "phase", for cells in phase contrast, at half of the images' size:
#
#     sh examples/train_phase.sh DATA OUT
#
# DATA holds images/ and masks/ of Usiigaci (T98G cells), and validation_ids.txt, the ids of the images that no network
# sees. OUT gets the store, the trainings, the bundle phase.safetensors, and predictions of the images that were kept,
# with their scores at full size. Run again, it goes on where it was.
set -eu
data=$1
out=$2
mkdir -p "$out/images" "$out/masks"

train() { # network, folder, crops per epoch, and options
    network=$1 run=$out/$2 crops=$3
    shift 3
    resume=
    [ ! -e "$run/run.json" ] || resume=--resume
    cellprep train "$network" --data "$out/data.zarr" --val-fraction 0 --out "$run" --in-memory --workers 1 \
        --samples-per-epoch "$crops" --augment flips --augment rotation --augment elastic "$@" $resume
}

{
    echo image,row
    sed 's/$/,/' "$data/validation_ids.txt"
} >"$out/kept.csv"
cellprep build-targets "$data" --shrink 2 --exclude "$out/kept.csv" --out "$out/data.zarr"
train semseg semseg-1 128 --max-lr 3e-3 --epochs 60 --ema 0.99 --normalisation percentile \
    --augment scale --augment grey --augment contacts
train semseg semseg 320 --max-lr 2e-3 --epochs 60 --ema 0.995 --init "$out/semseg-1/last.safetensors" \
    --augment zoom --augment grey
train dn dn-1 128 --max-lr 3e-3 --epochs 40 --ema 0.99 --normalisation percentile --augment scale --augment grey
train dn dn 320 --max-lr 2e-3 --epochs 40 --ema 0.995 --init "$out/dn-1/last.safetensors" \
    --augment zoom --augment grey --augment contacts
train wtn wtn 128 --max-lr 2e-3 --epochs 16 --ema 0.98 --augment zoom --init nuclei
cellprep bundle --weights "$out/dn/last.safetensors" --weights "$out/wtn/last.safetensors" \
    --semseg-weights "$out/semseg/last.safetensors" --half --decoder tops --decoder-option depth=4 \
    --min-area 100 --overwrite --out "$out/phase.safetensors"

while read -r id; do
    cp "$data/images/$id.tif" "$out/images/"
    cp "$data/masks/$id.tif" "$out/masks/"
done <"$data/validation_ids.txt"
cellprep predict "$out/images" --weights "$out/phase.safetensors" --out "$out/predicted" --overlay --overwrite
cellprep evaluate "$out/predicted" "$out/masks"
