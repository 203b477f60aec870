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

train() { # name and options
    name=$1
    shift
    resume=
    [ ! -e "$out/$name/run.json" ] || resume=--resume
    cellprep train "$name" --data "$out/data.zarr" --val-fraction 0 --out "$out/$name" --in-memory --workers 1 \
        --samples-per-epoch 128 --max-lr 3e-3 --augment flips --augment rotation --augment scale --augment elastic \
        "$@" $resume
}

{
    echo image,row
    sed 's/$/,/' "$data/validation_ids.txt"
} >"$out/kept.csv"
cellprep build-targets "$data" --shrink 2 --exclude "$out/kept.csv" --out "$out/data.zarr"
train semseg --normalisation percentile --epochs 60 --ema 0.99 --augment grey --augment contacts
train dn --normalisation percentile --epochs 40 --ema 0.99 --augment grey
train wtn --epochs 20 --ema 0.98
cellprep bundle --weights "$out/dn" --weights "$out/wtn" --semseg-weights "$out/semseg" --half --decoder tops \
    --out "$out/phase.safetensors"

while read -r id; do
    cp "$data/images/$id.tif" "$out/images/"
    cp "$data/masks/$id.tif" "$out/masks/"
done <"$data/validation_ids.txt"
rm -rf "$out/predicted"
cellprep predict "$out/images" --weights "$out/phase.safetensors" --out "$out/predicted" --overlay
cellprep evaluate "$out/predicted" "$out/masks"
