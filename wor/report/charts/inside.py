"""Charts by layer and by head."""

import altair as alt
import numpy as np
import pandas as pd

from wor.iterations.load import Iteration
from wor.report.charts.common import Chart, make_chart, role_color, role_dash

LAYERED = {
    "log10_kl": "log10 of ablation KL (nats)",
    "entropy": "attention entropy / maximum",
    "lens_jsd_bits": "logit lens JSD (bits)",
    "paraphrase_cosine": "cosine with paraphrases",
}


def layers(iteration: Iteration, key: str, columns: int = 2) -> Chart:
    """Return medians and quartiles over items, by layer and class, with APL's thresholds."""
    table = iteration.layers(key)
    table = table.assign(log10_kl=np.log10(table["ablation_kl"].where(table["ablation_kl"] > 0)))
    quartiles = (
        table.groupby(["role", "layer"])[list(LAYERED)]
        .quantile([0.25, 0.5, 0.75])
        .rename_axis(index={None: "quantile"})
        .stack()
        .rename_axis(["role", "layer", "quantile", "quantity"])
        .unstack("quantile")
        .set_axis(["low", "middle", "high"], axis=1)
        .reset_index()
    )
    limits = np.asarray(iteration.cards[key]["calibration"]["apl_thresholds"], float)
    thresholds = pd.DataFrame(
        {"layer": np.arange(1, len(limits) + 1), "threshold": np.log10(np.where(limits > 0, limits, np.nan))}
    )
    panels = []
    for quantity, title in LAYERED.items():
        base = alt.Chart(quartiles[quartiles["quantity"] == quantity].dropna()).encode(
            x=alt.X("layer:Q", title="layer"), color=role_color()
        )
        y = alt.Y("low:Q", title=title, scale=alt.Scale(zero=False))
        tooltip = ["role:N", "layer:Q", *(alt.Tooltip(f"{part}:Q", format=".3g") for part in ("low", "middle", "high"))]
        panel = base.mark_area(opacity=0.2).encode(y=y, y2="high:Q") + base.mark_line(point=alt.OverlayMarkDef(size=12)).encode(
            y="middle:Q", strokeDash=role_dash(), tooltip=tooltip
        )
        if quantity == "log10_kl":
            panel += (
                alt.Chart(thresholds.dropna())
                .mark_line(strokeDash=[2, 2], strokeWidth=1, color="var(--muted)")
                .encode(x="layer:Q", y="threshold:Q", tooltip=["layer:Q", alt.Tooltip("threshold:Q", format=".3g")])
            )
        panels.append(panel.properties(width=300, height=170))
    note = "Lines: median over items; bands: the middle half; dotted: each layer's APL threshold."
    return make_chart(
        "Layer profiles", f"By layer: {', '.join(LAYERED.values())}. {note}", alt.concat(*panels, columns=columns), note
    )


def heads(iteration: Iteration, key: str) -> Chart | None:
    """Return layer x head maps of attention entropy by class; None without arrays."""
    if not iteration.has_texts:
        return None
    entropies = iteration.arrays(key)["entropy_heads"].astype(float)
    roles = iteration.table("metrics", key)["role"].to_numpy()
    means = {}
    for name in ("reasoning", "control"):
        measured = entropies[(roles == name) & ~np.isnan(entropies).all((1, 2))]
        if not len(measured):
            return None
        means[name] = measured.mean(0)
    means["reasoning − control"] = means["reasoning"] - means["control"]
    n_layers, n_heads = means["control"].shape
    cells = [(layer, head) for layer in range(1, n_layers + 1) for head in range(1, n_heads + 1)]
    largest = float(np.abs(means["reasoning − control"]).max())
    panels = []
    for name, values in means.items():
        table = pd.DataFrame(cells, columns=["layer", "head"]).assign(value=values.ravel())
        difference = "−" in name
        scale = (
            alt.Scale(
                domain=[-largest, 0, largest], range=["var(--control)", "var(--page)", "var(--reasoning)"], interpolate="rgb"
            )
            if difference
            else alt.Scale(domain=[0, 1], range=["var(--page)", "var(--text)"], interpolate="rgb")
        )
        legend = alt.Legend(title=None, orient="bottom", gradientLength=130, format="+.2f" if difference else ".1f")
        panels.append(
            alt.Chart(table, title=name)
            .mark_rect()
            .encode(
                x=alt.X("head:O", title="head", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
                y=alt.Y("layer:O", title="layer", axis=alt.Axis(labelOverlap=True)),
                color=alt.Color("value:Q", scale=scale, legend=legend),
                tooltip=["layer:O", "head:O", alt.Tooltip("value:Q", format="+.3f" if difference else ".3f")],
            )
            .properties(width=max(150, 14 * n_heads), height=max(150, 9 * n_layers))
        )
    rank = np.abs(means["reasoning − control"]).argmax()
    layer, head = cells[int(rank)]
    about = f"Attention entropy / maximum of {n_layers} layers x {n_heads} heads, mean over windows and items. The largest "
    about += f"difference, {means['reasoning − control'].ravel()[rank]:+.3f}, is in layer {layer}, head {head}."
    spec = alt.hconcat(*panels).resolve_scale(color="independent")
    return make_chart("Attention entropy by layer and head", about, spec, about)
