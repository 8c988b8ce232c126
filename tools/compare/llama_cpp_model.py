"""How the tools that compare results load a .gguf in llama-cpp-python."""


def load(file, context, threads):
    """A model that evaluates up to `context` tokens and keeps the logits of all of them."""
    import llama_cpp

    return llama_cpp.Llama(
        str(file),
        n_ctx=context,
        n_batch=context,
        logits_all=True,
        type_k=llama_cpp.GGML_TYPE_F32,  # the cache is f16 by default, which hides smaller differences
        type_v=llama_cpp.GGML_TYPE_F32,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )


def version():
    import llama_cpp

    return f"llama-cpp-python {llama_cpp.__version__}"
