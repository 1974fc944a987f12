#!/bin/sh
# Packs a model's weights for the native encoder, beside the model: processes then map them instead of
# packing them at each load. Quick where that was done; where it cannot be done, models load as they did.
#
#     scripts/pack_model.sh bge-small-en-v1.5
set -eu
[ -e dist/libbge.so ] && [ -e dist/libonnxruntime.so ] || exit 0
command -v sqlite3 > /dev/null || exit 0
folder=$(pwd)/dist/models/$1
state=$(sqlite3 -batch :memory: ".load ./dist/libbge" \
    "SELECT bge_load('packed', '$(printf %s "$folder" | sed "s/'/''/g")',
                     json_object('encoder', 'native', 'graph_cache', '$(printf %s "$folder" | sed "s/'/''/g")')) || ': ' ||
            json_extract(bge_info(), '$.loaded[0].graph_cache')" 2>&1) || true
case $state in
    *hit) ;;
    *written*) echo "packed the weights of $1 for this CPU" ;;
    *) echo "the weights of $1 are not packed: $state" ;;
esac
