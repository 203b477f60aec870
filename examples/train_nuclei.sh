#!/bin/sh
# Trains weights like the bundled ones, "nuclei":
#
#     sh examples/train_nuclei.sh DSB2018 BBBC039 OUT
#
# DSB2018 contains images/ and masks/ of stage 1 of the 2018 Data Science Bowl (BBBC038, CC0), fluorescence only, and
# validation_ids.txt, the ids of the images held out for validation. BBBC039 contains the same of BBBC039 (CC0). OUT
# receives the stores, the trainings, the bundle nuclei.safetensors, and predictions of the held-out images with their
# scores. An interrupted run continues.
set -eu
dsb2018=$1
bbbc039=$2
out=$3

train() { # run, network, options
    run=$1
    network=$2
    shift 2
    resume=
    [ ! -e "$out/$run/run.json" ] || resume=--resume
    cellprep train "$network" --out "$out/$run" --in-memory "$@" $resume
}

part() { # links the images of a data set that are held out, or all others: held-out|others DATA FOLDER
    mkdir -p "$3/images" "$3/masks"
    for image in "$2"/images/*.tif; do
        name=$(basename "$image")
        found=others
        ! grep -qx "${name%.tif}" "$2/validation_ids.txt" || found=held-out
        [ "$found" != "$1" ] || for kind in images masks; do
            ln -sf "$(realpath "$2/$kind/$name")" "$3/$kind/$name"
        done
    done
}

cellprep build-targets "$dsb2018" --out "$out/data.zarr"
val="--val-ids $dsb2018/validation_ids.txt"
train first semseg --data "$out/data.zarr" $val --max-lr 1e-3 --normalisation noise-floor --epochs 40
train dn dn --data "$out/data.zarr" $val --max-lr 1e-3 --normalisation noise-floor --epochs 40
train wtn wtn --data "$out/data.zarr" $val --arch published --base-channels 12 --max-lr 1e-3 --epochs 6

part others "$dsb2018" "$out/both"
part others "$bbbc039" "$out/both"
cellprep build-targets "$out/both" --out "$out/both.zarr"
train semseg semseg --data "$out/both.zarr" --val-fraction 0.06 --init "$out/first" --max-lr 1e-3 --ema 0.998 \
    --epochs 48 --augment flips --augment rotation --augment scale --augment elastic --augment grey \
    --augment contacts --augment brightness --augment paste --augment debris --augment camera --augment empty
cellprep bundle --weights "$out/dn" --weights "$out/wtn" --semseg-weights "$out/semseg/last.safetensors" --half \
    --decoder tops --decoder-option depth=4 --out "$out/nuclei.safetensors" --overwrite

for data in "$dsb2018" "$bbbc039"; do
    name=$(basename "$data")
    part held-out "$data" "$out/held-out-$name"
    cellprep predict "$out/held-out-$name/images" --weights "$out/nuclei.safetensors" --out "$out/predicted-$name" \
        --overlay --overwrite
    cellprep evaluate "$out/predicted-$name" "$out/held-out-$name/masks"
done
