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
pin() { # prints a file whose images have the digest that their tag has today
  while IFS= read -r line; do
    image=$(printf '%s\n' "$line" | sed -nE 's/^(FROM|[[:space:]]*image:)[[:space:]]+([^[:space:]@]+)( AS [a-z]+)?$/\2/p')
    if [ -n "$image" ] && [ "${image%:latest}" = "$image" ]; then
      digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image" </dev/null)
      case $digest in sha256:*) ;; *) echo "no digest of $image: $digest" >&2; return 1 ;; esac
      printf '%s\n' "$line" | sed "s#$image#$image@$digest#"
    else
      printf '%s\n' "$line"
    fi
  done <"$1"
}
for file in deploy/Dockerfile deploy/nats/Dockerfile deploy/compose.yaml; do
  mkdir -p "$out/$(dirname "$file")"
  pin "$file" >"$out/$file"
done

(cd "$out" && find . -type f ! -name SHA256SUMS | sort | xargs sha256sum >SHA256SUMS)
