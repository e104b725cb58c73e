"""Studies: the corpus, the tokenizer, the packed tokens, and the runs that are trained on them."""
