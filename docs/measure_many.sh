#!/bin/sh
# Measures what docs/many_videos.md shows:   sh docs/measure_many.sh FOLDER   (the videos are in FOLDER/films)
# then puts it into the document:            python docs/render_tables.py
# Takes five minutes on two cores, which should have nothing else to do. Linux: taskset gives a process its core.
set -e
folder=${1:?name the folder}
bench=docs/bench/cpu-many
rm -rf "$folder"/out-*
taskset -c 0 tinyhd predict "$folder/films" --out "$folder/out-core" --json $bench-core.json
taskset -c 0 tinyhd predict "$folder/films" --out "$folder/out-film" --maps none --overlay "$folder/out-seen" --style map --json $bench-film.json
taskset -c 0 tinyhd predict "$folder/films" --out "$folder/out-pair" --json $bench-first.json &
first=$!
taskset -c 1 tinyhd predict "$folder/films" --out "$folder/out-pair" --json $bench-second.json
wait $first
for decoders in 1 2 4; do
    tinyhd predict "$folder/films" --out "$folder/out-$decoders" --decoders $decoders --json $bench-decoders-$decoders.json
done
