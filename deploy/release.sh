#!/bin/sh
# Makes what goes with a release, from a clean checkout of its tag; needs npm, and docker for the images:
#   deploy/release.sh DIRECTORY
# Ends at the first step that fails: a package whose signature is not its registry's, a known hole, an image that is not there.
set -eu
cd "$(dirname "$0")/.."
out=${1:?where to, a directory}
mkdir -p "$out"

changed=$(git status --porcelain)
if [ -n "$changed" ]; then
  printf 'a release is made of what is committed; this is not:\n%s\n' "$changed" >&2
  exit 1
fi

echo "packages: installed as locked, signed by their registry, without known holes"
npm ci
npm audit signatures
npm audit --omit=dev --audit-level=high

echo "bill of materials: $out/sbom.cdx.json"
npm sbom --sbom-format cyclonedx --omit=dev >"$out/sbom.cdx.json"

echo "package and programs: $out/*.tgz, $out/trunkline-*"
npm pack --pack-destination "$out"
for target in linux-x64 linux-arm64; do
  npm run binary -- "$out/trunkline-$target" --target "$target"
done

echo "changes: $out/CHANGES.md"
sed -n '/^## \[/,$p' CHANGELOG.md | awk '/^## \[/ && n++ { exit } { print }' >"$out/CHANGES.md"

echo "images: pinned by digest in $out"
# Where an image is named: FROM in Dockerfiles, `image:` in YAML, `image = "…"` in Fly's files.
named='^(FROM|[[:space:]]*image:|[[:space:]]*image[[:space:]]*=)[[:space:]]+"?([^[:space:]"@]+)(@sha256:[0-9a-f]{64})?"?( AS [a-z]+)?$'
digest() {
  found=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1" </dev/null)
  case $found in sha256:*) printf '%s\n' "$found" ;; *) echo "no digest of $1: $found" >&2; return 1 ;; esac
}
pin() { # prints a file whose images have the digest that their tag has today
  while IFS= read -r line; do
    image=$(printf '%s\n' "$line" | sed -nE "s/$named/\\2/p")
    case $image in
    "") printf '%s\n' "$line" ;;
    # Our own, which each who deploys makes: OWN_IMAGE names the one that was pushed.
    trunkline:latest)
      own=${OWN_IMAGE:?name the image that was pushed, as registry/name:tag}
      pinned=$(digest "$own")
      printf '%s\n' "$line" | sed "s#$image#$own@$pinned#"
      ;;
    *)
      pinned=$(digest "$image")
      printf '%s\n' "$line" | sed "s#$image#$image@$pinned#"
      ;;
    esac
  done <"$1"
}
# kustomize's folders belong together, images or not.
if [ -n "${OWN_IMAGE:-}" ]; then mkdir -p "$out/deploy" && cp -R deploy/k8s "$out/deploy/"; fi
for file in $(find deploy fly.toml -type f | xargs grep -lE "$named" | sort); do
  case $file in
  deploy/k8s/*) [ -n "${OWN_IMAGE:-}" ] || { echo "  without $file: OWN_IMAGE names no image"; continue; } ;;
  esac
  mkdir -p "$out/$(dirname "$file")"
  pin "$file" >"$out/$file"
done

if [ -d "$out/deploy" ] && unpinned=$(grep -rnE '^(FROM|[[:space:]]*image:|[[:space:]]*image[[:space:]]*=)' "$out/deploy" | grep -v '@sha256:[0-9a-f]\{64\}'); then
  printf 'images without a digest:\n%s\n' "$unpinned" >&2
  exit 1
fi

(cd "$out" && find . -type f ! -name SHA256SUMS | sort | xargs sha256sum >SHA256SUMS)
