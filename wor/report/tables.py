"""What an iteration found, as tables for a page. Nothing is computed here: every number is the iteration's own."""

from __future__ import annotations

from wor.iterations import results as results_of
from wor.iterations.load import Iteration
from wor.report import formatting
from wor.report.table import Table, verdict_mark


def criteria(iteration: Iteration) -> Table:
    rows = [
        [formatting.criterion_label(key), verdict_mark(entry["status"]), entry["why"]]
        for key, entry in iteration.criteria.items()
    ]
    return Table("Success criteria, set before the run", ["criterion", "verdict", "why"], rows)


def hypotheses(result: dict) -> Table:
    registered = result["preregistration"]
    rows = [
        [f"{key} (decisive)" if entry["decisive"] else key, entry["claim"], verdict_mark(entry["status"]), entry["why"]]
        for key, entry in registered["hypotheses"].items()
    ]
    return Table(f"Hypotheses of prereg.yaml ({registered['kind']})", ["", "claim", "status", "why"], rows)


def results(result: dict) -> Table:
    """REV and every other measure: AUROC, what it adds to the baseline, partial correlation; then the baseline."""
    rows = []
    for key in result["added"]:
        rows.append(
            [
                formatting.measure_label(key),
                formatting.format_estimate(result["auroc"][key]["bootstrap"]),
                formatting.format_estimate(result["added"][key]["delta"], sign=True),
                formatting.format_estimate(result["partial"][key]["clustered"], sign=True),
                formatting.format_p(result["holm"].get(f"partial_{key}")),
                result["direction"].get(key, ""),
            ]
        )
    rows.append(["baseline alone", formatting.format_estimate(result["added"]["rev"]["baseline"]), "", "", "", ""])
    notes = [
        "AUROC: bootstrap of whole clusters, BCa. dAUC: gain over a logistic regression on prompt length, tokens before the "
        "answer, log-probability and perplexity, cross-fitted. Partial r: with the class, given prompt length and perplexity; "
        "p after Holm.",
        *(f"{line}." for line in results_of.remarks(result)),
    ]
    head = ["measure", "AUROC", "dAUC", "partial r", "p (Holm)", "preset direction"]
    return Table(f"Reasoning against control ({result['confidence']:.0%} intervals)", head, rows, range(1, 5), notes)


def nulls(result: dict) -> Table:
    """What the same AUROC comes to where nothing, or something else, is to be found."""
    twin, found, curve = result["twin"], result["nulls"], result["specification_curve"]
    n = sum(twin["n"].values())
    rows = [
        ["REV of a twin with random weights", formatting.format_estimate(twin["auroc"]["rev"]), f"{n} items; {twin['verdict']}"],
        ["REV of the model on the same items", formatting.format_estimate(twin["auroc"]["rev_real"]), f"{n} items"],
        ["shuffled labels", formatting.format_estimate(found["permuted_labels"]), "what chance gives at this size"],
        ["wording alone (TF-IDF of the prompt)", formatting.format_estimate(found["surface_ceiling"]), "no model at all"],
        [
            "sparse logistic on all heads' entropies",
            formatting.format_estimate(result["rivals"]["auroc_heads"]),
            "trained on these classes",
        ],
    ]
    literal = result["literal"]
    if "reason" not in literal:
        for key, shown in (("matched", "cut to length"), ("literal", "whole")):
            group = literal[key]
            why = f"{group['n']} articles of {group['tokens']:.0f} tokens; prompt length alone "
            rows.append(
                [
                    f"REV with articles {shown}",
                    formatting.format_estimate(group["auroc"]["rev"]),
                    why + formatting.format_estimate(group["auroc"]["token_len"]),
                ]
            )
    notes = [f"Matching: {literal['reason']}."] if "reason" in literal else []
    least = ", ".join(
        f"{shown} from {formatting.format_number(result['detectable'][key]['value'], '.2f') or 'none'}"
        for key, shown in (("auroc", "AUROC"), ("delta_auc", "dAUC"))
    )
    notes.append(f"A study of this size finds with a probability of 0.8: {least}.")
    agree = ", ".join(
        f"{shown} keeps its sign in {formatting.format_share(curve[key]['agree']) or 'no setting that has a value'}"
        for key, shown in (("auroc", "AUROC"), ("delta_auc", "dAUC"))
    )
    notes.append(f"Over {curve['settings']} settings of window, tau, normalisation, components and matching, {agree}.")
    return Table(
        "Nulls and limits: AUROC where something else is measured", ["", "AUROC", "what it is"], rows, range(1, 2), notes
    )


def rivals(result: dict) -> Table:
    rows = [
        [
            f"REV − {formatting.measure_label(key) if key != 'heads' else 'heads'}",
            formatting.format_estimate(entry, sign=True),
            formatting.format_p(entry["p_holm"]),
        ]
        for key, entry in result["rivals"]["difference"].items()
    ]
    notes = ["AUROC of REV less that of each rival on the same items (paired); heads: see the nulls."]
    return Table("REV beside its rivals", ["difference", "AUROC", "p (Holm)"], rows, range(1, 3), notes)


def balance(result: dict) -> Table:
    rows = []
    for key, entry in result["balance"].items():
        sides = [
            f"{formatting.format_number(entry[role]['mean'])} ({formatting.format_number(entry[role]['sd'])})"
            for role in ("reasoning", "control")
        ]
        smd = entry["smd"]
        rows.append([formatting.measure_label(key), *sides, formatting.format_number(smd, "+.2f")])
    notes = ["Mean (sd). SMD: standardised mean difference; below 0.1 in size is commonly read as balanced."]
    return Table("Balance of the classes", ["", "reasoning", "control", "SMD"], rows, range(1, 4), notes)


def spread(result: dict) -> Table:
    groups = list(result["spread"])
    rows = []
    for group in groups:
        cells = [
            f"{formatting.format_number(entry['mean'])} ({formatting.format_number(entry['sd'])})"
            for entry in result["spread"][group].values()
        ]
        rows.append([group, str(result["spread"][group]["rev"]["n"]), *cells])
    head = ["", "n", *(formatting.measure_label(key) for key in result["spread"][groups[0]])]
    return Table(
        "Measures by class and dataset", head, rows, range(1, len(head)), ["Mean (sd) over items with a value; n: with a REV."]
    )


def answers(result: dict) -> Table:
    rows = []
    for dataset, entry in result["accuracy"].items():
        right = result.get("correctness", {}).get(dataset)
        rows.append(
            [
                dataset,
                str(entry["n"]),
                formatting.format_share(entry["accuracy"]),
                formatting.format_share(entry["unparsed"]),
                formatting.format_estimate(right["auroc"]["rev"]) if right else "",
            ]
        )
    head = ["dataset", "n", "right", "no answer read", "AUROC of REV, right over wrong"]
    return Table("Answers", head, rows, range(1, 5))


def dose(result: dict) -> Table:
    rows = [
        [
            dataset,
            formatting.measure_label(key),
            formatting.format_estimate(entry, sign=True),
            formatting.format_estimate(found["given_length"][key], sign=True),
        ]
        for dataset, found in result["dose_response"].items()
        for key, entry in found["trend"].items()
    ]
    head = ["dataset", "measure", "Kendall's tau with steps", "partial r given prompt length (Spearman)"]
    return Table("Dose-response: measures over the steps of the worked solution", head, rows, range(2, 4))


def excluded(result: dict) -> Table:
    n = result["n"]
    rows = [[*reason.split(": ", 1), str(count)] for reason, count in result["excluded"].items()]
    notes = [f"Used: {n['used']} of {n['items']} items, {n['reasoning']} reasoning and {n['control']} control."]
    if not rows:
        notes.append("No item was left out.")
    return Table("What was left out of the statistics", ["class", "why", "items"], rows, range(2, 3), notes)


def model(iteration: Iteration, key: str) -> Table:
    card, result = iteration.cards[key]["card"], iteration.statistics[key]
    source = card["source"]
    origin = " ".join(
        str(source[part]) for part in ("package", "version", "repo", "revision", "path", "layers") if part in source
    )
    rows = [
        ["source", f"{source['source']}: {origin}"],
        ["architecture", f"{card['architecture']}, {result['n_layers']} layers, {result['n_heads']} heads"],
        ["parameters", formatting.format_parameters(result["n_params"])],
        ["chat template", "yes" if card.get("chat_template") else "no: prompt.template"],
        *([f"sha256 of {name}", digest] for name, digest in card["files"].items() if name.endswith((".safetensors", ".gguf"))),
    ]
    return Table("The model", [], rows)


def settings(iteration: Iteration) -> Table:
    from wor.config.overrides import flatten

    config = iteration.config
    kept = {key: value for key, value in config.items() if key not in ("model_specs", "dataset_specs", "compute")}
    kept["dataset_specs"] = {name: config["dataset_specs"][name] for name in config["datasets"]}
    rows = [[key, str(value)] for key, value in flatten(kept) if value not in (None, "")]
    return Table("Parameters", ["parameter", "value"], rows)


def environment(iteration: Iteration) -> Table:
    about, manifest = iteration.environment, iteration.manifest
    code, compute = about["code"], about.get("compute") or {}
    registered = about.get("preregistration") or {}
    rows = [
        ["made", manifest["registry"]["date"]],
        ["DVC experiment", about.get("experiment") or "none: the stages were run one by one"],
        ["commit", _commit(code)],
        ["code", code["code_hash"]],
        ["fingerprint", manifest["fingerprint"]],
        [
            "prereg.yaml",
            f"{registered.get('sha256', '')}, committed {registered.get('committed') or registered.get('reason', '')}",
        ],
        ["machine", f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']:.1f} GiB; {about['platform']}"],
        ["device", _device(compute)],
        ["Python", about["python"]],
        ["packages", ", ".join(f"{package} {version}" for package, version in about["packages"].items())],
        ["BLAS", str(about.get("blas", ""))],
    ]
    return Table("Environment", [], rows)


def _commit(code: dict) -> str:
    if not code.get("commit"):
        return f"none: {code['reason']}"
    return code["commit"] + (" with uncommitted changes (in env_info.json)" if code.get("dirty") else "")


def _device(compute: dict) -> str:
    parts = [compute.get("gpu") or compute.get("device"), compute.get("dtype"), f"{compute.get('threads')} threads"]
    return ", ".join([*(str(part) for part in parts if part), str(compute.get("attention", ""))])


def timing(iteration: Iteration) -> Table:
    found = iteration.timing
    rows = [
        [stage["stage"], formatting.format_seconds(stage["seconds"]), f"{stage['peak_memory_mib']:,.0f} MiB"]
        for stage in found["stages"]
    ]
    rows.append(["in all", formatting.format_seconds(found["total_seconds"]), f"{found['peak_memory_mib']:,.0f} MiB"])
    return Table("Time and memory of each stage", ["stage", "time", "peak memory"], rows, range(1, 3))
