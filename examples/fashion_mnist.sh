#!/usr/bin/env bash
# Condense Fashion-MNIST to ten images per class through a running service, with curl alone.
#
#   examples/fashion_mnist.sh FOLDER [SERVER]
#
# FOLDER holds the four official files (train-images-idx3-ubyte.gz and so on). CONDENSERY_API_KEY is sent if it is set.
# Prints the accuracy of each method and the SHA-256 of each artifact; both are the same in every run on one machine.
set -euo pipefail
folder=${1:?usage: $0 FOLDER [SERVER]}
server=${2:-http://127.0.0.1:8000}
call() { curl -sS --fail-with-body ${CONDENSERY_API_KEY:+-H "Authorization: Bearer $CONDENSERY_API_KEY"} "$@"; }
field() { python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }

archive=$(mktemp --suffix=.tar)
trap 'rm -f "$archive"' EXIT
tar -C "$folder" -cf "$archive" {train,t10k}-{images-idx3,labels-idx1}-ubyte.gz
upload=$(call -T "$archive" "$server/v1/uploads?file_name=fashion-mnist.tar" | field '["id"]')
dataset=$(call --json "{\"upload_id\": \"$upload\"}" "$server/v1/datasets" | field '["id"]')
call -N "$server/v1/datasets/$dataset/events/stream" >/dev/null
call "$server/v1/datasets/$dataset" | field '["manifest"]["splits"]'
job=$(call --json "{
    \"dataset_id\": \"$dataset\", \"ipc\": 10, \"iterations\": 300, \"network\": {\"width\": 32},
    \"evaluation\": {\"networks\": 3, \"epochs\": 300, \"whole_epochs\": 2}
  }" "$server/v1/jobs" | field '["id"]')
echo "$job"
until call -N "$server/v1/jobs/$job/events/stream" | grep -q '^event: end'; do :; done
call "$server/v1/jobs/$job" | python3 -c '
import json, sys
job = json.load(sys.stdin)
print(job["state"], "after", job["resumes"], "resumes", job["problem"] or "")
for one in job["evaluations"]:
    print("{method:10} {train_images:6} images  {mean:.4f} ± {std:.4f}  n={n}".format(**one))
'
call "$server/v1/jobs/$job/artifacts" | python3 -c '
import json, sys
for one in json.load(sys.stdin)["data"]:
    print(one["sha256"], one["file_name"])
'
