"""Make what a stage stores of items, at random."""

import numpy as np
import pandas as pd


def records(n, reasons=(), seed=0):
    """What a stage stores of n items: random arrays of the right shapes."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "item_id": [f"wiki/{index}" for index in range(n)],
            "dataset": "wiki",
            "role": "control",
            "split": "calibration",
            "cluster": [f"wiki/{index}" for index in range(n)],
            "token_len": rng.integers(50, 99, n),
            "cot_len": 64,
            "n_generated": 64,
            "avg_logprob": rng.normal(-0.5, 0.1, n),
            "perplexity": 1.6,
            "prompt_perplexity": 20.0,
            "finished": False,
            "template": "chat template",
            "answer": "",
            "correct": np.nan,
            "steps": 3,
            "paraphrase_share": 0.1,
            "body_share": 0.1,
            "moved_share": 0.0,
            "paraphrase_fluency": -0.2,
            "paraphrase_reason": "",
            "reason": [reasons[index] if index < len(reasons) else "" for index in range(n)],
            "window_start": 80,
            "window_end": 88,
            "prompt_ids": [rng.integers(0, 9, 80) for _ in range(n)],
            "continuation_ids": [rng.integers(0, 9, 64) for _ in range(n)],
            "tokens": [["a1"] * 64 for _ in range(n)],
            "token_logprob": [rng.normal(-0.5, 0.1, 64) for _ in range(n)],
            "token_entropy": [rng.uniform(0, 3, 64) for _ in range(n)],
        }
    )
    arrays = {
        "entropy": rng.uniform(0, 3, (n, 6, 8)),
        "entropy_no_sink": rng.uniform(0, 3, (n, 6, 8)),
        "kl": np.exp(rng.normal(-3, 1, (n, 6, 8))),
        "jsd": np.sort(rng.uniform(0, 1, (n, 6, 8)), axis=1)[:, ::-1],
        "cosine": rng.uniform(0.9, 1, (n, 3, 7)),
        "prediction_entropy": rng.uniform(0, 3, (n, 8)),
    }
    arrays["jsd"][:, -1] = 0
    for index, reason in enumerate(reasons):
        if reason:
            for array in arrays.values():
                array[index] = np.nan
    return frame, {name: array.astype(np.float32) for name, array in arrays.items()}
