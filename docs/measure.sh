#!/bin/sh
# Measures what the documents show of speed:   sh docs/measure.sh 0068.AVI
# then puts it into them:                      python docs/render_tables.py
# Takes about an hour on two cores, which should have nothing else to do.
set -e
video=${1:?name the video}
tinyhd bench --json docs/bench/cpu-forward.json --plot docs/speed.png
tinyhd bench --models d123m_rc4_rc1T d123s_rc4_rc1T --video "$video" --json docs/bench/cpu-pipeline.json
tinyhd bench --models d123m_rc4_rc1T --devices fused openvino cpu compiled:cpu --precisions float32 bfloat16 int8 --batches 1 4 --repeats 3 --json docs/bench/cpu-precisions.json
tinyhd bench --training --models d123m_rc4_rc1T --json docs/bench/cpu-training.json
tinyhd bench --metrics --json docs/bench/cpu-metrics.json
tinyhd bench --viewer --video "$video" --json docs/bench/cpu-viewer.json
