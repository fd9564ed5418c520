#!/bin/bash -eu
# Puts every fuzz target into $OUT, with its corpus and dictionary, as OSS-Fuzz expects.

cd "$SRC/websocket-proto/fuzz"
cargo fuzz build -O --debug-assertions
for target in $(cargo fuzz list); do
  cp "target/x86_64-unknown-linux-gnu/release/$target" "$OUT/"
  zip -q -j -r "$OUT/${target}_seed_corpus.zip" "corpus/$target"
  if [ -f "dictionaries/$target.dict" ]; then cp "dictionaries/$target.dict" "$OUT/"; fi
done
