#!/bin/sh
# Trains larger weights for nuclei on a GPU, within ten minutes on one of today's largest with 16 cores beside it:
#
#     sh benchmarks/gpu_nuclei.sh DATA OUT
#
# DATA holds dsb2018/ and bbbc039/, each with images/, masks/ and validation_ids.txt: the ids that are only scored. OUT
# gets the store, the trainings, nuclei.safetensors, and its scores on both sets. An epoch is some 1,250 crops. Run
# again, it goes on where it was. CHANNELS, EPOCHS and WORKERS may be set: CHANNELS=32 EPOCHS=60 sh benchmarks/...
set -eu
data=$1
out=$2
channels=${CHANNELS:-24}
epochs=${EPOCHS:-80}
workers=${WORKERS:-14}
mkdir -p "$out/source/images" "$out/source/masks"

for set in dsb2018 bbbc039; do
    count=0
    for image in "$data/$set/images"/*.tif; do
        id=$(basename "$image" .tif)
        if grep -qx "$id" "$data/$set/validation_ids.txt"; then
            for kind in images masks; do
                mkdir -p "$out/scored/$set/$kind"
                cp "$data/$set/$kind/$id.tif" "$out/scored/$set/$kind/"
            done
            continue
        fi
        cp "$image" "$out/source/images/"
        cp "$data/$set/masks/$id.tif" "$out/source/masks/"
        count=$((count + 1))
        [ $((count % 16)) -ne 0 ] || echo "$id" # one of 16 chooses the epoch, and trains nothing
    done
done >"$out/choosing_ids.txt"

train() { # name and options
    name=$1
    shift
    resume=
    [ ! -e "$out/$name/run.json" ] || resume=--resume
    cellprep train "$name" --data "$out/data.zarr" --val-ids "$out/choosing_ids.txt" --out "$out/$name" --ema 0.998 \
        --batch-size 32 --workers "$workers" --in-memory --max-lr 3e-3 \
        --augment flips --augment rotation --augment scale --augment elastic --augment contacts --augment paste \
        "$@" $resume
}
light='--augment grey --augment brightness --augment debris --augment camera --augment empty'

cellprep build-targets "$out/source" --out "$out/data.zarr"
train semseg --base-channels "$channels" --normalisation noise-floor --epochs "$epochs" $light
train dn --arch unet --base-channels 16 --normalisation noise-floor --epochs $(((epochs + 1) / 2)) $light
train wtn --arch published --base-channels 12 --epochs $((1 + epochs / 10))
cellprep bundle --weights "$out/dn" --weights "$out/wtn" --semseg-weights "$out/semseg" --half --decoder tops \
    --out "$out/nuclei.safetensors"

for set in dsb2018 bbbc039; do
    rm -rf "$out/predicted/$set"
    cellprep predict "$out/scored/$set/images" --weights "$out/nuclei.safetensors" --out "$out/predicted/$set" --overlay
    cellprep evaluate "$out/predicted/$set" "$out/scored/$set/masks"
done
