#!/bin/sh
# Trains the weights "nuclei" that come with cellprep:
#
#     sh examples/train_nuclei.sh DATA OUT
#
# DATA holds images/ and masks/ of stage 1 of the 2018 Data Science Bowl (BBBC038, CC0), fluorescence only, and
# validation_ids.txt, the ids of the images to keep for validation. OUT gets the store, the trainings, the bundle
# nuclei.safetensors, and predictions of the validation images with their scores. Run again, it goes on where it was.
set -eu
data=$1
out=$2
mkdir -p "$out/images" "$out/masks"

train() { # name and options
    name=$1
    shift
    resume=
    [ ! -e "$out/$name/run.json" ] || resume=--resume
    cellprep train "$name" --data "$out/data.zarr" --val-ids "$data/validation_ids.txt" --out "$out/$name" \
        --in-memory "$@" $resume
}

cellprep build-targets "$data" --out "$out/data.zarr"
train semseg --base-channels 16 --max-lr 1e-3 --normalisation noise-floor --epochs 40
train dn --arch unet --base-channels 16 --max-lr 1e-3 --normalisation noise-floor --epochs 40
train wtn --arch published --base-channels 12 --max-lr 1e-3 --epochs 6
cellprep bundle --weights "$out/dn" --weights "$out/wtn" --semseg-weights "$out/semseg" --half --decoder tops \
    --out "$out/nuclei.safetensors"

while read -r id; do
    cp "$data/images/$id.tif" "$out/images/"
    cp "$data/masks/$id.tif" "$out/masks/"
done <"$data/validation_ids.txt"
rm -rf "$out/predicted"
cellprep predict "$out/images" --weights "$out/nuclei.safetensors" --out "$out/predicted" --overlay
cellprep evaluate "$out/predicted" "$out/masks"
