#!/usr/bin/env python3
"""Zero-shot tasks by lm-evaluation-harness (transformers, f32), to compare with `pare eval MODEL --tasks FILES`.

Both score the same items of the same JSONL files with the same weights, a Hugging Face folder (`pare convert` makes one of
a GGUF file). FILE holds {"context", "choices", "gold"} or {"contexts", "continuation", "gold"}; FILE:TASK is a file of
original records that lm-evaluation-harness reads with its own definition of TASK (piqa, hellaswag, arc_easy, winogrande, boolq,
openbookqa, lambada_openai, sciq, copa, commonsense_qa, social_iqa), which compares the prompts as well. FILE:mmlu is read with
its definition of every subject in the file, FILE:truthfulqa with both of its (mc1, mc2). A prediction is what the metric that a
task is judged by chooses: the largest log-likelihood, per character where pare reports acc_norm, or whether greedy decoding
gives the word; of truthfulqa_mc2 the share of probability is compared instead, and differs where it is off by 1e-3.

usage: compare_tasks.py MODEL FILE[:TASK]... --pare PROGRAM [--limit N] [--dtype f32] [--threads N] [--batch-size N]

Exits with 1 when the predictions of a task differ in more than --tolerance items. Needs lm-eval, torch, transformers and
accelerate.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import lm_eval
import torch
import transformers
from lm_eval.tasks import TaskManager

CHOICES = {"doc_to_text": "context", "doc_to_choice": "choices", "doc_to_target": "gold"}
CONTEXTS = {"doc_to_text": "gold", "doc_to_choice": "contexts", "doc_to_target": "continuation"}


def definition(name, path, own_task, index):
    """A task of lm-evaluation-harness that reads this file, as a YAML file may hold it."""
    data = {split: str(path.resolve()) for split in ("train", "validation", "test", "dev")}
    config = {"task": name, "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": data}}
    if own_task:
        return {"include": str(index[own_task].yaml_path)} | config
    with open(path, encoding="utf-8") as file:
        fields = json.loads(file.readline())
    config |= CONTEXTS if "contexts" in fields else CHOICES
    config |= {"output_type": "multiple_choice", "validation_split": "validation"}
    return config | {"metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}]}


def records_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def harness_tasks(path, own_task, limit, folder):
    """By the name of pare's task: the tasks that lm-evaluation-harness has for it, as (name, file, its definition's name,
    numbers of the items in pare's task)."""
    if own_task == "truthfulqa":
        return {f"{path.stem}_{part}": [(f"{path.stem}_{part}", path, f"truthfulqa_{part}", None)] for part in ("mc1", "mc2")}
    if own_task != "mmlu":
        return {path.stem: [(path.stem, path, own_task, None)]}
    by_subject = {}
    for number, record in enumerate(records_of(path)[:limit]):
        by_subject.setdefault(record["subject"], []).append((number, record))
    tasks = []
    for subject, items in by_subject.items():
        part = folder / f"{path.stem}-{subject}.jsonl"
        part.write_text("".join(json.dumps(record) + "\n" for _, record in items), encoding="utf-8")
        tasks.append((part.stem, part, f"mmlu_{subject}", [number for number, _ in items]))
    return {path.stem: tasks}


def harness_scores(args, files, folder):
    """By pare's task: its items, as items_of() gives them."""
    index = TaskManager().task_index
    tasks = {}
    for path, own_task in files:
        tasks |= harness_tasks(path, own_task, args.limit, folder)
    names = []
    for name, path, own_task, _ in (entry for entries in tasks.values() for entry in entries):
        (folder / f"{name}.yaml").write_text(json.dumps(definition(name, path, own_task, index)))
        names.append(name)
    answer = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(args.model), "dtype": "float32", "trust_remote_code": True},
        tasks=names,
        task_manager=TaskManager(include_path=str(folder)),
        limit=args.limit,
        batch_size=args.batch_size,
        device="cpu",
        bootstrap_iters=0,
    )
    scores = {}
    for own_name, entries in tasks.items():
        items = {}
        for name, _, _, numbers in entries:
            for place, item in enumerate(items_of(answer["samples"][name])):
                items[numbers[place] if numbers else place] = item
        scores[own_name] = [items[number] for number in sorted(items)]
    return scores


def items_of(samples):
    """What lm-evaluation-harness says of each item: log-likelihoods, lengths of the choices, and its own verdicts."""
    items = {}  # several filters list an item several times
    for sample in samples:
        scores = [tuple(response[0]) for response in sample["resps"]]
        items[sample["doc_id"]] = {
            "sums": [float(ll) for ll, _ in scores],
            "greedy": str(scores[0][1]) == "True",
            "lengths": [len(continuation) - 1 for _, continuation in sample["arguments"]],
            "acc": sample.get("acc"),
            "acc_norm": sample.get("acc_norm"),
        }
    return [items[key] for key in sorted(items)]


def pare_samples(args, files, folder):
    samples = folder / "samples.jsonl"
    command = [args.pare, "eval", str(args.model), "--tasks", ",".join(str(path) for path, _ in files)]
    command += ["--dtype", args.dtype, "--threads", str(args.threads), "--samples", str(samples), "--json"]
    if args.limit:
        command += ["--limit", str(args.limit)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {result.returncode}")
    by_task = {}
    for line in samples.read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        by_task.setdefault(sample["task"], []).append(sample)
    return by_task


def prediction(scores, lengths):
    values = [score / length for score, length in zip(scores, lengths)]
    return values.index(max(values))


def compare(name, samples, harness):
    """Prints a row of the table; returns how many predictions differ."""
    if len(samples) != len(harness):
        raise SystemExit(f"{name}: {len(samples)} items by pare, {len(harness)} by lm-evaluation-harness")
    right = [0, 0]
    differ = 0
    largest = 0.0
    for sample, item in zip(samples, harness):
        if len(sample["loglikelihoods"]) != len(item["sums"]):
            raise SystemExit(f"{name}: item {sample['item']} has other choices")
        largest = max(largest, *(abs(a - b) for a, b in zip(sample["loglikelihoods"], item["sums"])))
        if "true_mass" in sample:
            right = [right[0] + sample["true_mass"], right[1] + item["acc"]]
            differ += abs(sample["true_mass"] - item["acc"]) > 1e-3
            continue
        if "greedy" in sample:
            own, other, gold, verdict = sample["greedy"], item["greedy"], True, item["acc"]
        elif "choice_norm" in sample:
            own, other, gold = sample["choice_norm"], prediction(item["sums"], item["lengths"]), sample["gold"]
            verdict = item["acc_norm"]
        else:
            own, other, gold = sample["choice"], prediction(item["sums"], [1] * len(item["sums"])), sample["gold"]
            verdict = item["acc"]
        right[0] += own == gold
        right[1] += verdict
        differ += own != other
    shares = [100 * count / len(samples) for count in right]
    print(f"| {name} | {len(samples)} | {shares[1]:.2f} | {shares[0]:.2f} | {differ} | {largest:.1e} |", flush=True)
    return differ


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--pare", required=True, metavar="PROGRAM")
    parser.add_argument("--limit", type=int, help="only the first N items of each file")
    parser.add_argument("--dtype", default="f32", help="of pare; the other side is always f32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--tolerance", type=int, default=1, help="items (default 1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    files = [(Path(path), task) for path, _, task in (name.partition(":") for name in args.files)]
    with tempfile.TemporaryDirectory() as folder:
        ours = pare_samples(args, files, Path(folder))
        theirs = harness_scores(args, files, Path(folder))
    print(f"lm-eval {lm_eval.__version__}, transformers {transformers.__version__}, torch {torch.__version__}\n")
    print("| task | items | lm-eval, % | pare, % | predictions that differ | largest difference of a log-likelihood |")
    print("|---|---:|---:|---:|---:|---:|")
    worst = max(compare(name, ours[name], items) for name, items in theirs.items())
    sys.exit(1 if worst > args.tolerance else 0)


if __name__ == "__main__":
    main()
