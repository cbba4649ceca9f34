"""Checkpoints that are malformed or malicious: name: (what spoils a good folder, words of the refusal)."""

import json
import os
import shutil
import struct

import torch
from spoilers import (
    ABSENT,
    CHARSMAP,
    FLOOD,
    LARGE,
    LARGE_IDS,
    QUERY,
    REGEX,
    TWICE,
    WEIGHTS,
    added_tokens,
    chain,
    code,
    config,
    edit,
    forget_unknown,
    framed,
    header,
    link,
    moved,
    pickled,
    pieces,
    remove,
    replacement,
    resize_file,
    resize_words,
    shards,
    shift,
    tokenizer,
    weights,
    wordpiece,
    write,
)

CONFIGS = {
    "no config": (remove("config.json"), "no config.json"),
    "cut off": (write("config.json", '{"model_type": "nystr'), "config.json is not a JSON file"),
    "a list": (write("config.json", "[1, 2]"), "must hold a JSON object, got list"),
    "NaN": (write("config.json", '{"layer_norm_eps": NaN}'), "config.json is not a JSON file"),
    "not text": (write("config.json", b"\xff\xfe\x00"), "config.json is not a JSON file"),
    "a hundred thousand brackets": (write("config.json", "[" * 100_000), "config.json is not a JSON file"),
    "large": (write("config.json", " " * 2_000_000), "config.json may have at most 1,048,576 bytes, got 2,000,000"),
    "many values": (write("config.json", "[" + "0," * 60_000 + "0]"), "at most 50,000 values, got 60,000"),
    "a number of 5,000 digits": (write("config.json", '{"vocab_size": ' + "9" * 5000 + "}"), "not a JSON file"),
    "a number of 400 digits": (config(vocab_size=10**400), "got an integer of more than 30 digits"),
    "another model": (config(model_type="gpt2"), "model_type must be one of nystromformer, .* got 'gpt2'"),
    "a model type that is a list": (config(model_type=["bert"]), "model_type must be one of"),
    "no model type": (edit("config.json", lambda table: table.pop("model_type")), "model_type .* got None"),
    "code": (code("auto_map", "config.json"), r"config.json asks for code of its own \(auto_map\)"),
    "quantised": (config(quantization_config={"quant_method": "awq"}), "asks for quantised weights"),
    "other weights": (config(transformers_weights="../w.safetensors"), "asks for a weights file under another name"),
    "decoder": (config(is_decoder=True), "asks for a decoder"),
    "pruned": (config(pruned_heads={"0": [1]}), "asks for pruned heads"),
    "40 million words": (config(vocab_size=40_000_000), "vocab_size must be an integer from 2 to 1,000,000"),
    "3,000 layers": (config(num_hidden_layers=3000), "num_hidden_layers must be an integer from 1 to 48, got 3000"),
    "a width of 10⁹": (config(hidden_size=10**9), "hidden_size must be an integer from 1 to 4,096"),
    "no heads": (config(num_attention_heads=0), "num_attention_heads must be an integer from 1 to 128, got 0"),
    "odd heads": (config(num_attention_heads=5), "multiple of num_attention_heads, got 24 and 5"),
    "10⁷ feed-forward": (config(intermediate_size=10**7), "intermediate_size must be an integer from 1 to 16,384"),
    "10⁹ positions": (config(max_position_embeddings=10**9), "max_position_embeddings must be an integer"),
    "true for a number": (config(type_vocab_size=True), "type_vocab_size must be an integer from 1 to 16, got True"),
    "text for a number": (config(hidden_size="24"), "hidden_size must be an integer .* got '24'"),
    "null for a number": (config(hidden_size=None), "hidden_size must be an integer .* got None"),
    "10⁹ labels": (config(num_labels=10**9), "num_labels must be an integer from 1 to 1,000"),
    "2,000 named labels": (config(id2label={str(i): "x" for i in range(2000)}), "an object of 1 to 1000 labels"),
    "a label that is an object": (config(id2label={"0": {"a": 1}}), "A label must be text of 1 to 100 characters"),
    "a label with a line feed": (
        config(id2label={"0": "x\ny", "1": "z"}),
        r"A label must be printable text, got 'x\\ny'",
    ),
    "labels from 7": (config(id2label={"7": "x", "8": "y"}), "id2label must number its labels from 0"),
    "an even convolution": (config(conv_kernel_size=4), "conv_kernel_size must be an odd number or null, got 4"),
    "a wide convolution": (config(conv_kernel_size=10**6 + 1), "conv_kernel_size must be an integer from 1 to 1,025"),
    "an unknown activation": (config(hidden_act="__import__"), "hidden_act must be an activation"),
    "an activation that is a list": (config(hidden_act=["gelu"]), "hidden_act must be an activation"),
    "a dropout of seven": (
        config(hidden_dropout_prob=7),
        "hidden_dropout_prob must be a number from 0.0 to 1.0, got 7",
    ),
    "an infinite number": (write("config.json", '{"model_type": "bert", "layer_norm_eps": 1e999}'), "got inf"),
    "an unknown problem": (config(problem_type="eval"), "problem_type must be one of None, single_label"),
    "padding out of range": (config(pad_token_id=198), "pad_token_id must be below vocab_size, got 198"),
    "too many parameters": (
        config(hidden_size=4095, num_hidden_layers=48, intermediate_size=16_384),
        "at most 400,000,000 parameters, got",
    ),
    "an adapter": (write("adapter_config.json", '{"base_model_name_or_path": "../other"}'), "adapter to another model"),
    "a folder for a file": (chain(remove("config.json"), lambda f: (f / "config.json").mkdir()), "not a plain file"),
    "a pipe for a file": (chain(remove("config.json"), lambda f: os.mkfifo(f / "config.json")), "not a plain file"),
    "a link out": (link("config.json", "config.json"), "config.json is a link that leaves the checkpoint's folder"),
    "a link to nothing": (
        chain(remove("config.json"), lambda f: (f / "config.json").symlink_to("nowhere")),
        "config.json is a link to nothing",
    ),
    "a circle of links": (
        chain(remove("config.json"), lambda f: (f / "config.json").symlink_to("config.json")),
        "cannot be opened",
    ),
}
WEIGHT_FILES = {
    "no weights": (remove(WEIGHTS), "no model.safetensors; weights in any other format are not read"),
    "a pickle": (pickled("pytorch_model.bin"), "no model.safetensors; weights in any other format are not read"),
    "a pickle under a good name": (pickled(WEIGHTS), "not a whole safetensors file"),
    "empty": (write(WEIGHTS, b""), "not a whole safetensors file"),
    "truncated": (resize_file(-13), "bytes of tensors where its header has"),
    "truncated within the header": (lambda f: os.truncate(f / WEIGHTS, 100), "not a whole safetensors file"),
    "trailing bytes": (resize_file(7), "bytes of tensors where its header has"),
    "a header of 2⁶³ bytes": (write(WEIGHTS, struct.pack("<Q", 2**63) + b"{}"), "not a whole safetensors file"),
    "a header of 5 MB": (
        write(WEIGHTS, struct.pack("<Q", 5_000_000) + b" " * 5_000_000),
        "may have a header of 4,194,304 bytes, got 5,000,000",
    ),
    "a header of half a million values": (
        write(WEIGHTS, struct.pack("<Q", 1_000_002) + b"[" + b"0," * 500_000 + b"]"),
        "at most 100,000 values, got 500,000",
    ),
    "a header that is no JSON": (write(WEIGHTS, struct.pack("<Q", 4) + b"{{{{"), "The header .* is not a JSON file"),
    "a header of brackets": (
        write(WEIGHTS, struct.pack("<Q", 100_000) + b'{"a":' * 20_000),
        "The header .* is not a JSON file",
    ),
    "no tensors": (write(WEIGHTS, struct.pack("<Q", 2) + b"{}"), "holds no tensors"),
    "overlapping": (shift(QUERY, -4), "tensors that overlap or leave gaps"),
    "out of the file": (shift(QUERY, 2**60), "tensors that overlap or leave gaps"),
    "before the file": (shift(QUERY, -(2**60)), "a shape and a place that do not fit each other"),
    "a shape that does not fit": (
        header(lambda table: table[QUERY].update(shape=[2**40, 2**40])),
        "a shape and a place that do not fit each other",
    ),
    "a shape that is text": (header(lambda table: table[QUERY].update(shape="24,24")), "do not fit each other"),
    "a shape with true": (header(lambda table: table[QUERY].update(shape=[True, 576])), "do not fit each other"),
    "an unknown type": (header(lambda table: table[QUERY].update(dtype="F1")), "a way that safetensors does not know"),
    "a type that is a list": (header(lambda table: table[QUERY].update(dtype=["F32"])), "safetensors does not know"),
    "a tensor that is a number": (header(lambda table: table.update({QUERY: 3})), "safetensors does not know"),
    "integers": (weights(lambda w: w.update({QUERY: w[QUERY].int()})), "must be of a floating-point type, got I32"),
    "an encoder weight missing": (weights(lambda w: w.pop(QUERY)), f"lacks 1 weights of the encoder, {QUERY} among"),
    "another model's weights": (
        weights(lambda w: [w.update({f"x.{name}": w.pop(name)}) for name in list(w)]),
        "lacks [0-9]+ weights of the encoder",
    ),
    "another shape": (
        weights(lambda w: w.update({QUERY: torch.zeros(24, 23)})),
        r"must have the shape \(24, 24\) that config.json says, got \(24, 23\)",
    ),
    "a transposed embedding": (
        weights(lambda w: w.update({"nystromformer.embeddings.word_embeddings.weight": torch.zeros(24, 198)})),
        r"must have the shape \(198, 24\)",
    ),
    "3 · 10³⁸": (weights(lambda w: w[QUERY].fill_(3e38)), r"A weight may be at most 65,504, got 3e\+38"),
    "one weight of 10⁵": (weights(lambda w: w[QUERY][0, 0].fill_(1e5)), r"A weight may be at most 65,504, got 1e\+05"),
    "an answer that is 0/0": (
        chain(config(layer_norm_eps=0.0), weights(lambda w: [tensor.zero_() for tensor in w.values()])),
        "answer to a plain text is not all finite numbers",
    ),
    "a name with a line feed": (
        weights(lambda w: w.update({'x\n{"event": "started"}': torch.zeros(1)})),
        r"A tensor's name must be 1 to 200 printable characters, got 'x\\n",
    ),
    "a name without end": (
        weights(lambda w: w.update({"x" * 10_000: torch.zeros(1)})),
        "1 to 200 printable characters",
    ),
    "one name twice": (
        write(WEIGHTS, (lambda entry: struct.pack("<Q", len(entry)) + entry + b"\0" * 4)(TWICE)),
        "The header .* is not a JSON file",
    ),
    "not a number": (weights(lambda w: w[QUERY].fill_(torch.nan)), "weights that are not finite numbers"),
    "infinite": (weights(lambda w: w[QUERY].fill_(torch.inf)), "weights that are not finite numbers"),
    "a link out": (link(WEIGHTS, "weights"), "model.safetensors is a link that leaves the checkpoint's folder"),
    "an index to the folder beside": (
        moved("../encoders/tables.safetensors"),
        "files lie in its own folder, but one is",
    ),
    "an index to the root": (moved("/etc/passwd"), "files lie in its own folder, but one is named '/etc/passwd'"),
    "an index to a parent": (moved(".."), "files lie in its own folder"),
    "an index to a missing file": (moved("c.safetensors"), "names 'c.safetensors', which is no safetensors file"),
    "an index to a pickle": (chain(moved("c.bin"), write("c.bin", b"\x80\x04N.")), "names 'c.bin', which is no"),
    "an index to NUL": (moved("a\0.safetensors"), "files lie in its own folder"),
    "an index to a number": (moved(7), "names '7'"),
    "an index with a weight too many": (
        shards(lambda i: i["weight_map"].update(x="a.safetensors")),
        "the same weights",
    ),
    "an index with a weight too few": (shards(lambda i: i["weight_map"].pop(QUERY)), "do not hold the same weights"),
    "an index without a map": (shards(lambda i: i.pop("weight_map")), "must hold a weight_map and metadata"),
    "an index whose map is a list": (shards(lambda i: i.update(weight_map=[])), "must hold a weight_map and metadata"),
    "an index without metadata": (shards(lambda i: i.pop("metadata")), "must hold a weight_map and metadata"),
    "an empty index": (shards(lambda i: i.update(weight_map={})), "must name 1 to 64 files, got 0"),
    "two files with one weight": (
        chain(shards(), lambda f: shutil.copy(f / "a.safetensors", f / "b.safetensors")),
        "Two weights files hold",
    ),
}
TOKENIZERS = {
    "no tokenizer": (remove("tokenizer.json"), "no tokenizer.json"),
    "cut off": (write("tokenizer.json", '{"version": "1.0", '), "tokenizer.json is not a JSON file"),
    "large": (write("tokenizer.json", " " * 9_000_000), "tokenizer.json may have at most 8,388,608 bytes"),
    "a million values": (write("tokenizer.json", "[" + "0," * 10**6 + "0]"), "at most 600,000 values"),
    "an unknown model": (tokenizer(model={"type": "Custom"}), "model of type WordPiece, BPE, .* got 'Custom'"),
    "no model": (tokenizer(model=None), "model of type WordPiece, BPE, .* got None"),
    "a bad regular expression": (
        tokenizer(pre_tokenizer=REGEX | {"pattern": {"Regex": "("}}),
        "pre_tokenizer .* 'Split'",
    ),
    "a slow regular expression": (tokenizer(pre_tokenizer=REGEX), "The pre_tokenizer of tokenizer.json must be one of"),
    "a hidden regular expression": (
        tokenizer(pre_tokenizer={"type": "Sequence", "pretokenizers": [REGEX]}),
        "The pre_tokenizer of tokenizer.json must be one of",
    ),
    "a regular expression to replace": (
        tokenizer(normalizer=replacement("x", {"Regex": "(a+)+$"})),
        "may not bring a regular expression of its own",
    ),
    "text that grows": (
        tokenizer(normalizer=replacement("x" * 10**6, {"String": "e"})),
        "may put in at most 32 characters",
    ),
    "text that grows by degrees": (
        tokenizer(
            normalizer={"type": "Sequence", "normalizers": [replacement("e" * 9 + ".", {"String": "e"})] * 3},
        ),
        "The normalizer may make a text 64 times as long, got 1,000 times",
    ),
    "a character map that grows": (
        tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": CHARSMAP}),
        "The normalizer may make a text 64 times as long, got 100,000 times",
    ),
    "a long prefix": (tokenizer(normalizer={"type": "Prepend", "prepend": "x" * 10**6}), "at most 32 characters"),
    "nothing to replace": (tokenizer(normalizer=replacement("xx", {"String": ""})), "needs something to replace"),
    "a deep sequence": (
        tokenizer(normalizer=json.loads('{"type": "Sequence", "normalizers": [' * 9 + "]}" * 9)),
        "not one that the tokenizers library writes",
    ),
    "a normalizer that panics": (
        tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        "tokenizer.json is refused by the tokenizers library",
    ),
    "merges that panic": (
        tokenizer(
            model={"type": "BPE", "vocab": {"a": 0, "b": 1}, "continuing_subword_prefix": "##", "merges": [["a", "b"]]}
        ),
        "tokenizer.json is refused by the tokenizers library",
    ),
    "a template that panics": (tokenizer(post_processor=ABSENT), "The tokenizer fails on two plain texts"),
    "a template that floods": (
        tokenizer(post_processor=FLOOD),
        "must put 1 to 16 special tokens to two texts, got 1000",
    ),
    "no template": (tokenizer(post_processor=None), "must put 1 to 16 special tokens to two texts, got 0"),
    "a vocabulary that is a list": (wordpiece(vocab=[]), "tokenizer.json is refused by the tokenizers library"),
    "no unknown word": (edit("tokenizer.json", lambda t: t["model"]["vocab"].pop("[UNK]")), "fails on a plain text"),
    "words without end": (wordpiece(max_input_chars_per_word=10**9), "max_input_chars_per_word must be an integer"),
    "dropout": (
        tokenizer(model={"type": "BPE", "dropout": 0.5, "vocab": {"a": 0}, "merges": []}),
        "asks for dropout, under which a text has no fixed tokens",
    ),
    "an empty added token": (
        tokenizer(added_tokens=added_tokens("")),
        "An added token must be text of 1 to 100 characters",
    ),
    "11,000 added tokens": (tokenizer(added_tokens=added_tokens("x", 11_000)), "a list of at most 10,000 tokens"),
    "ids beyond the model": (wordpiece(vocab={"[UNK]": 198, "a": 0}), "ids up to 198, but the model knows 198 words"),
    "ids with holes": (wordpiece(vocab={"[UNK]": 1, "a": 2**32 - 1}), "The tokenizer (fails|has ids)"),
    "code": (code("auto_map", "tokenizer_config.json"), "tokenizer_config.json asks for code of its own"),
    "no padding token": (
        edit("tokenizer_config.json", lambda table: table.pop("pad_token")),
        "tokenizer_config.json must name a pad_token",
    ),
    "a token that is a number": (
        edit("tokenizer_config.json", lambda table: table.update(pad_token=7)),
        "pad_token must be text of 1 to 100 characters, got 7",
    ),
    "32 × U+FDFA written out": (
        tokenizer(
            normalizer={
                "type": "Sequence",
                "normalizers": [replacement("\ufdfa" * 32, {"String": "Z"}), {"type": "NFKD"}],
            }
        ),
        "may make a text 64 times as long, got 576 times",
    ),
    "64 marks for a letter": (
        tokenizer(
            normalizer={
                "type": "Sequence",
                "normalizers": [replacement("." * 32, {"String": "Z"}), replacement("..", {"String": "."})],
            }
        ),
        "makes 32,000 tokens of a text of 500 characters",
    ),
    "pieces of 1,000 letters": (tokenizer(model=pieces(1, 1000)), "A token may have at most 500 characters, got 1,000"),
    "pieces that take their time": (
        chain(
            tokenizer(model=pieces(*range(1, 500))),
            config(vocab_size=600),
            weights(lambda w: resize_words(w, 198, 600)),
        ),
        "takes [0-9.]+ s for a text of [0-9,]+ characters",
    ),
    "words of 1,000 letters": (
        wordpiece(max_input_chars_per_word=1000),
        "max_input_chars_per_word must be an integer from 1 to 200, got 1000",
    ),
    "a type of seven": (tokenizer(post_processor=framed(type_id=7)), "gives a text the type 7, but the model knows 2"),
    "ids of a million": (tokenizer(post_processor=framed(ids=10**6)), "special tokens have ids beyond the model's 198"),
    "ids of a million in a pair": (
        tokenizer(post_processor=framed() | {"pair": [*framed()["pair"], LARGE], "special_tokens": LARGE_IDS}),
        "special tokens have ids beyond the model's 198",
    ),
    "nothing around one text": (
        tokenizer(post_processor=framed() | {"single": framed()["single"][:1]}),
        "must put 1 to 16 special tokens to one text, got 0",
    ),
    "a mark that no word has": (edit("tokenizer.json", forget_unknown), "The tokenizer fails on "),
    "one word twice": (
        write("tokenizer.json", '{"model": {"type": "WordPiece", "vocab": {"a": 0, "a": 1}}}'),
        "tokenizer.json is not a JSON file",
    ),
    "a link out": (link("tokenizer.json", "tokenizer.json"), "tokenizer.json is a link that leaves"),
}
CASES = {
    f"{kind}: {name}": case
    for kind, cases in (("config", CONFIGS), ("weights", WEIGHT_FILES), ("tokenizer", TOKENIZERS))
    for name, case in cases.items()
}
