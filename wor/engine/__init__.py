"""Run a causal language model, record what happens inside it, and change it.

The engine knows no file of this study and no dataset. docs/engine.md shows it in use.

    load           a folder of weights -> an `LM`, after the self-test
    model          `LM`: the transformers model with its layers, norm, unembedding and tokenizer
    text           texts -> token IDs: chat template, begin token, end tokens
    architectures  which modules are layers, attention, MLP; which models are refused
    selftest       compare the engine with the model's own forward pass
    twin           null models: the same architecture, initialised or with permuted weights

    generate       sample continuations that do not depend on the batch
    capture        one forward pass -> entropies, residual stream, components' outputs, scores
    ablate         replace a layer's MLP, its attention or a head -> KL for each
    reference      what replaces a component: mean, zero or sampled calibration outputs
    observe        all that the measures need about one item, as small arrays

    attention      the attention function with which all of these run
    unembed        KL, entropy, scores and logit lens over blocks of the vocabulary
    memory         batches that fit, and smaller ones when memory runs out
    parallel       several items at once, one thread each
    cost           what passes cost, for progress bars
    seeding        random numbers that depend on a seed and a name only
"""
