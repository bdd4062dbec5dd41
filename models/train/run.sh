#!/usr/bin/env bash
# From pictures to the shipped files: ./models/train/run.sh DATA_DIR
#
# Every stage leaves a file and is skipped while that file is newer than what it was made from, so a run
# that was cut off goes on where it stopped (training too: it saves itself every 100 steps).
# Environments, renders and weights go to models/train/work, or to $STRANDWATCH_WORK.
set -euo pipefail

data=$(cd "${1:?usage: run.sh DATA_DIR}" && pwd)
[[ -e $data/labels.jsonl ]] || { echo "run.sh: no labels.jsonl in $data: name the folder of labelled pictures" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
models=$(dirname "$here")
work=${STRANDWATCH_WORK:-$here/work}
mkdir -p "$work"
work=$(cd "$work" && pwd)
python=$work/venv/bin/python
render_python=$work/venv-render/bin/python
samples=30000
more_samples=90000
# Threads that wait must not spin: other work on the machine would slow training down several times over.
export OMP_WAIT_POLICY=passive
# Memory that was freed is kept for the next step: handing it back and having it zeroed anew takes as long as the convolutions.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184

# stage ARTIFACT INPUT... -- COMMAND...: run the command unless the artifact is newer than every input.
stage() {
  local artifact=$1 input stale=0
  shift
  [[ -e $artifact ]] || stale=1
  while [[ $1 != -- ]]; do
    input=$1
    shift
    if [[ $input -nt $artifact ]]; then stale=1; fi
  done
  shift
  if ((stale)); then
    printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$(basename "$artifact")"
    "$@"
  fi
}

environment() { # VENV REQUIREMENTS MARKER
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --requirement "$2"
  touch "$3"
}

render() { # NAME COUNT [FLAGS]
  local name=$1 count=$2
  shift 2
  mkdir -p "$work/renders/$name"
  find "$work/renders/$name" -type f \( ! -newer "$here/render_scene.py" -o ! -newer "$here/render_things.py" \) -delete
  "$render_python" "$here/render.py" "$work/renders/$name" --count "$count" "$@" >"$work/render-$name.log" 2>&1
  touch "$work/renders/$name.done"
}

train() { # free|all
  "$python" "$here/train.py" "$data" "$work/$1.pt" --failing-from "$1" --samples "$samples" \
    --renders "$work/renders/train" | tee "$work/train-$1.log"
}

assess() { # MODEL ROWS
  "$python" "$here/assess.py" "$data" "$1" "$2" --renders "$work/renders/held-out"
}

pick() {
  "$python" "$here/choose.py" "$work/free.rows" "$work/all.rows" "$work/choice.json"
  cat "$work/choice.json"
}

chosen() {
  "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["chosen"])' "$work/choice.json"
}

# The chosen training goes on with samples that it has not seen, all stages learning. The mean of before and after ships:
# each errs in its own places.
further() {
  "$python" "$here/train.py" "$data" "$work/whole.pt" --failing-from "$(chosen)" --start "$work/$(chosen).pt" --frozen 0 \
    --samples "$more_samples" --first "$samples" --rate 6e-4 --renders "$work/renders/train" | tee "$work/train-whole.log"
}

mean() {
  "$python" "$here/mean.py" "$work/mean.pt" "$work"/{"$(chosen)",whole}.pt
}

ship() {
  "$python" "$here/export.py" "$data" "$work/mean.pt" "$models/strandwatch-s.onnx" \
    --int8 "$models/strandwatch-s.int8.onnx" --failing-from "$(chosen)" --temper-by "$work/mean.rows"
}

publish() {
  "$python" "$here/publish.py" "$work/fp32.rows" "$work/int8.rows" "$work/choice.json" "$work/report.json"
  "$python" "$here/golden.py" "$models/strandwatch-s.onnx" "$models/strandwatch-s.int8.onnx" "$models/self-test.png" \
    "$data" "$models/golden/vectors.json"
  "$python" "$here/card.py" "$work/report.json" "$work/speed.json" "$work/choice.json"
}

learning=("$data/labels.jsonl" "$here"/{settings,resize,preprocess,data,strands,scenes,augment,network,train}.py)
measuring=("$here"/{assess,scoring,resize,preprocess,infer}.py "$work/renders/held-out.done")

stage "$work/venv.done" "$here/requirements.txt" -- environment "$work/venv" "$here/requirements.txt" "$work/venv.done"
stage "$work/venv-render.done" "$here/requirements-render.txt" -- \
  environment "$work/venv-render" "$here/requirements-render.txt" "$work/venv-render.done"
mkdir -p "$work/renders"
rendering=("$here"/{render_scene,render_things}.py)
stage "$work/renders/train.done" "${rendering[@]}" -- render train 1200
stage "$work/renders/held-out.done" "${rendering[@]}" -- render held-out 240 --held-out
for set in free all; do
  stage "$work/$set.pt" "${learning[@]}" "$work/renders/train.done" -- train "$set"
  stage "$work/$set.onnx" "$work/$set.pt" "$here/export.py" -- "$python" "$here/export.py" "$data" "$work/$set.pt" "$work/$set.onnx"
  stage "$work/$set.rows" "$work/$set.onnx" "${measuring[@]}" -- assess "$work/$set.onnx" "$work/$set.rows"
done
stage "$work/choice.json" "$work/free.rows" "$work/all.rows" "$here/choose.py" -- pick
stage "$work/whole.pt" "$work/choice.json" -- further
stage "$work/mean.pt" "$work/whole.pt" "$here/mean.py" -- mean
stage "$work/mean.onnx" "$work/mean.pt" "$here/export.py" -- \
  "$python" "$here/export.py" "$data" "$work/mean.pt" "$work/mean.onnx"
stage "$work/mean.rows" "$work/mean.onnx" "${measuring[@]}" -- assess "$work/mean.onnx" "$work/mean.rows"
stage "$models/strandwatch-s.int8.onnx" "$work/mean.rows" "$here"/{export,quantise,calibrate}.py -- ship
stage "$models/self-test.png" "$here"/{self_test,scenes,strands}.py -- "$python" "$here/self_test.py" "$models/self-test.png"
for kind in "fp32 strandwatch-s.onnx" "int8 strandwatch-s.int8.onnx"; do
  read -r name file <<<"$kind"
  stage "$work/$name.rows" "$models/$file" "${measuring[@]}" -- assess "$models/$file" "$work/$name.rows"
done
stage "$work/speed.json" "$models/strandwatch-s.int8.onnx" -- \
  "$python" "$here/compare_speed.py" "$models/strandwatch-s.onnx" "$models/strandwatch-s.int8.onnx" "$work/speed.json"
stage "$work/report.json" "$work/fp32.rows" "$work/int8.rows" "$work/speed.json" \
  "$here"/{calibrate,measure,report,publish,golden,card}.py -- publish
printf 'done: %s\n' "$models/manifest.toml"
