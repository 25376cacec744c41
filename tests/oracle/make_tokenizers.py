#!/usr/bin/env python3
"""Makes tests/tokenizer/: a corpus of mixed text, small tokenizers, and what the reference libraries
(sentencepiece, tokenizers) make of each line. Needed only to change them; the tests need no Python.

    python3 tests/oracle/make_tokenizers.py --models DIR     # DIR/NAME/tokenizer.model are copied in

corpus.txt      one text per line; \\n \\r \\t \\\\ \\xNN are escapes, everything else is itself (UTF-8)
fixtures/NAME   a sentencepiece model (.model) or a tokenizer.json (.json)
fixtures/NAME.ids, per line of the corpus, numbers as LEB128:
    count, ids...            special tokens in the text parsed (.model: not parsed)
    0 or 1 + count, ids...   special tokens not parsed; 0: the same
    0 or 1 + bytes, text     decode of the first ids, special tokens left out; 0: the line's own bytes
"""
import argparse, json, os, random, shutil
import sentencepiece, tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokenizer")
FIXTURES = os.path.join(HERE, "fixtures")

SENTENCES = """The old lighthouse keeper counted the ships again, and again the number was wrong.
She said it's fine; they've known, we'll see, I'm sure you'd agree he's right and don't say that's not so.
HE'S SURE THEY'VE GONE, SHE'LL KNOW, WE'RE LATE, I'D SAY, DON'T ASK, I'M DONE'S
In 1984 there were 365 days, 24 hours each; 3.14159 is not 22/7, and 1,000,000 is a lot.
Der Bäcker öffnet früh am Morgen seine Tür und grüßt die müden Straßenkehrer.
Le garçon préfère manger des crêpes à l'ombre d'un vieux chêne où chantait l'été.
El niño soñó con un pingüino que bailaba sobre el hielo del río.
O coração não esquece a canção que a avó cantava às crianças.
Zażółć gęślą jaźń, mówiła cicho siostra, patrząc przez okno.
Příliš žluťoučký kůň úpěl ďábelské ódy u staré řeky.
Árvíztűrő tükörfúrógép zúgott a műhely sarkában egész nap.
Çiçekçi, İstanbul'un dar sokaklarında ılık bir akşam yürüyüşü yaptı.
Быстрая лиса перепрыгнула через ленивую собаку и исчезла в лесу.
Українська мова має м'який знак і літери ґ, є, ї.
Η γάτα κοιμάται δίπλα στο παράθυρο, κάτω από τον ήλιο του μεσημεριού.
השועל החום קפץ מעל הכלב העצלן והלך לישון.
القط ينام بجانب النافذة في ضوء الشمس الدافئ.
گربه کنار پنجره می‌خوابد و خواب ماهی می‌بیند.
बिल्ली खिड़की के पास धूप में सो रही है और सपना देख रही है।
বিড়ালটি জানালার পাশে রোদে ঘুমাচ্ছে।
பூனை சன்னல் அருகே வெயிலில் தூங்குகிறது.
แมวนอนอยู่ข้างหน้าต่างใต้แสงแดดยามบ่าย
ແມວນອນຢູ່ຂ້າງປ່ອງຢ້ຽມ
ကြောင်လေးက ပြတင်းပေါက်ဘေးမှာ အိပ်နေတယ်။
猫在窗边的阳光下睡觉，梦见了一条大鱼。
貓在窗邊的陽光下睡覺，夢見了一條大魚。
猫は窓のそばの日なたで眠り、大きな魚の夢を見ている。カタカナとひらがな、ｶﾀｶﾅ。
고양이가 창가 햇볕 아래에서 자면서 큰 물고기 꿈을 꾼다.
კატა ფანჯარასთან მზეზე სძინავს.
Կատուն քնած է պատուհանի մոտ։
ድመቷ በመስኮቱ አጠገብ ተኝታለች።
Con mèo ngủ bên cửa sổ dưới ánh nắng ấm áp của buổi chiều.
for (int i = 0; i < n; i++) { sum += a[i] * b[i]; }  // dot product
def main(argv=None):\n    if argv is None:\n        argv = sys.argv[1:]\n    return 0
SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY name HAVING COUNT(*) > 1;
<div class="box"><p>Hello &amp; goodbye</p></div>
\t\tif (x == NULL) {\n\t\t\treturn -1;\n\t\t}
{"key": [1, 2.5e-3, null, true], "nested": {"a": "b\\\\n"}}
https://example.org/path/to/page.html?query=1&other=two#fragment
$ ls -la | grep '^d' | awk '{print $9}' > /tmp/out.txt 2>&1
E = mc², H₂O, x³ + y³ = z³, ½ + ¼ = ¾, №5, Ⅷ, ①②③, ٣٤٥, १२३, ๔๕๖
« Bonjour », dit-il – « ça va ? » — “quotes” ‘single’ „low“ …
ﬁne ﬂow ﬀ ﬆ ĳ ŉ ǆ ǅ Ǆ ſtraße 'ſ it'ſ
e\u0301 a\u0308 o\u0302\u0323 \u212B \u2126 \uFB01 ＡＢＣ１２３ \u1E9B\u0323""".split("\n")
SENTENCES = [s.replace("\\n", "\n").replace("\\t", "\t").replace("\\u0301", "\u0301").replace("\\u0308", "\u0308")
             .replace("\\u0302\\u0323", "\u0302\u0323").replace("\\u212B", "\u212b").replace("\\u2126", "\u2126")
             .replace("\\uFB01", "\ufb01").replace("\\u1E9B\\u0323", "\u1e9b\u0323").replace("\\\\", "\\") for s in SENTENCES]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇯🇵🇫🇷", "❤️", "☃", "👩🏿‍🚀", "🫠", "1️⃣", "🧑‍💻", "✈️", "🐈‍⬛"]
SPACES = [" ", "  ", "   ", "        ", "\t", "\t\t", " \t ", "\n", "\n\n", "\r\n", "\r\n\r\n", " \n", "\n ", "  \n  ",
          "\u00a0", "\u3000", "\u2003", "\u2009\u2009", "\u0085", "\u2028", "\x0b", "\x0c", " \r", "\u200b", "\ufeff"]
SPECIALS = ["<|begin_of_text|>", "<|eot_id|>", "<|endoftext|>", "<s>", "</s>", "<unk>", "<0x41>", "<tool>", "<pad>",
            "<|eot_id|", "<|", "<mask>", "[sep]", "<|fim▁hole|>", "▁", "▁▁", "\ufffd", "<sep>", "<cls>"]
WORDS = "time water keeper river seven under morning letter stone garden winter engine people window history".split()
INVALID = [b"\xff", b"\xfe\xff", b"\x80", b"\xbf\xbf", b"\xc3", b"\xc3(", b"\xe2\x82", b"\xe2\x82x", b"\xf0\x9f\x98",
           b"\xf0\x9f\x98 ", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf4\x90\x80\x80",
           b"\xf8\x88\x80\x80\x80", b"\xf0\x80\x80\x80", b"\xe2\x28\xa1", b"\xf1\x80\x80\xe1\x80\xc2b", b"\xc2\xc2"]


def word_of(rng, pieces):
    return "".join(rng.choice(pieces) for _ in range(rng.randint(1, 4)))


def some_line(rng, n):
    """One text, as bytes. The kind goes round, so every kind is there about equally often."""
    def part():
        s = rng.choice(SENTENCES)
        if " " not in s and len(s) > 12:
            a = rng.randrange(len(s) - 6)
            return s[a:a + rng.randint(3, 12)]
        words = s.split(" ")
        a = rng.randrange(len(words))
        return " ".join(words[a:a + rng.randint(1, 6)])
    kind = n % 13
    if kind == 0:
        return part().encode()
    if kind == 1:
        return (part() + rng.choice(SPACES) + part()).encode()
    if kind == 2:
        return (rng.choice(SPACES) + part() + rng.choice(SPACES)).encode()
    if kind == 3:
        return "".join(rng.choice(EMOJI + [" ", "a", "!"]) for _ in range(rng.randint(1, 7))).encode()
    if kind == 4:
        return "".join(rng.choice(SPACES) * rng.randint(1, 2) + rng.choice(WORDS + ["", "}", "x1"]) for _ in range(4)).encode()
    if kind == 5:
        number = "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 14)))
        return (rng.choice(["", " ", "-", "$", "v"]) + number + rng.choice(["", "th", ".5", " km", "%", ",000", "e-7", "٣"])).encode()
    if kind == 6:
        end = rng.choice(["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "'Re", "'x", "''", "'ſ", "’s", "'"])
        return (rng.choice(WORDS) + end + rng.choice(["", " ", "s", "n't", "!"]) + rng.choice(WORDS)).encode()
    if kind == 7:
        chosen = [rng.choice(SPECIALS) + rng.choice(["", " ", "  ", "\n"]) + rng.choice([part(), "", rng.choice(WORDS)])
                  for _ in range(rng.randint(1, 3))]
        return (rng.choice(["", " ", "a", " b  "]) + "".join(chosen)).encode()
    if kind == 8:
        raw = part().encode()
        at = rng.randrange(len(raw) + 1)
        return raw[:at] + rng.choice(INVALID) + raw[at:at + 12] + (rng.choice(INVALID) if rng.random() < .5 else b"")
    if kind == 9:
        marks = "!?.,;:-_()[]{}<>/\\|@#$%^&*+=~`\"'"
        return "".join(rng.choice([rng.choice(marks) * rng.randint(1, 4), rng.choice(WORDS), " ", "\n"])
                       for _ in range(rng.randint(2, 8))).encode()
    if kind == 10:
        letters = rng.choice(["abcdefgh", "aeiou", "ab", "a", "üöäß", "жщы", "아가나", "あいう", "क्षत्र", "🙂"])
        return "".join(rng.choice(letters) for _ in range(rng.choice([20, 30, 50, 90, 150]))).encode()
    if kind == 11:
        return "".join(chr(rng.choice([rng.randrange(0x20, 0x7f), rng.randrange(0xa0, 0x250), rng.randrange(0x370, 0x600),
                                       rng.randrange(0x900, 0xe80), rng.randrange(0x4e00, 0x9fa6), rng.randrange(0xac00, 0xd7a4),
                                       rng.randrange(0x2000, 0x2b00), rng.randrange(0x20000, 0x2a6d7), rng.randrange(0, 0x20),
                                       rng.randrange(0x1d400, 0x1d7ff), 0xe000, 0xffff, 0x10ffff]))
                       for _ in range(rng.randint(1, 12))).encode()
    return (" ".join(word_of(rng, WORDS + ["un", "re", "ing", "ed"]) for _ in range(rng.randint(2, 6)))).encode()


def make_corpus():
    rng = random.Random(20240607)
    lines = [b"", b" ", b"  ", b"\n", b"\r\n", b"\t", b"a", b" a", b"a ", b"\x00", b"a\x00b", b"'", b"'s", "▁".encode(),
             b"a" * 3000, b" " * 1500, b"0" * 700, "é".encode() * 400, b"\n" * 300, b"\xff" * 40, b" a" * 300, b"ab" * 500,
             b"!" * 500, "中".encode() * 300]
    lines += [s.encode() for s in SENTENCES]
    lines += [w for w in INVALID] + [e.encode() for e in EMOJI] + [s.encode() for s in SPACES + SPECIALS]
    seen, n = set(lines), 0
    while len(lines) < 2000:
        line = some_line(rng, n)
        n += 1
        if line not in seen:
            seen.add(line)
            lines.append(line)
    return lines


def escape(line):
    """Keeps valid UTF-8, escapes the rest, controls and the separators some editors treat as line ends."""
    out = []
    for c in line.decode("utf-8", errors="surrogateescape"):
        code = ord(c)
        if c == "\\": out.append("\\\\")
        elif c == "\n": out.append("\\n")
        elif c == "\r": out.append("\\r")
        elif c == "\t": out.append("\\t")
        elif 0xdc80 <= code <= 0xdcff: out.append("\\x%02X" % (code - 0xdc00))
        elif code < 0x20 or code in (0x7f, 0x85, 0x2028, 0x2029, 0xfeff): out += ["\\x%02X" % b for b in c.encode()]
        else: out.append(c)
    return "".join(out)


def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out + bytearray([value]))


def numbers(values):
    return number(len(values)) + b"".join(number(v) for v in values)


def write_expected(name, lines, encode, encode_plain, decode):
    out = bytearray()
    for line in lines:
        ids, plain = encode(line), encode_plain(line)
        text = decode(ids).encode()
        out += numbers(ids)
        out += number(0) if plain == ids else number(len(plain) + 1) + b"".join(number(v) for v in plain)
        out += number(0) if text == line else number(len(text) + 1) + text
    with open(os.path.join(FIXTURES, name + ".ids"), "wb") as file:
        file.write(out)
    print(f"{name}: {len(out)} bytes of expectations")


def expect_model(name, lines):
    sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(FIXTURES, name))
    encode = lambda line: sp.encode(line)  # bytes are fine: the library decides what invalid ones mean
    write_expected(name, lines, encode, encode, lambda ids: sp.decode(ids) if ids else "")


def expect_json(name, lines):
    parse = Tokenizer.from_file(os.path.join(FIXTURES, name))
    plain = Tokenizer.from_file(os.path.join(FIXTURES, name))
    plain.encode_special_tokens = True
    text = lambda line: line.decode("utf-8", errors="replace")
    # tokenizers 0.23 prints a special token that is `normalized` and that its normalizer changes, others do not.
    special = {i for i, token in parse.get_added_tokens_decoder().items() if token.special}
    write_expected(name, lines, lambda line: parse.encode(text(line), add_special_tokens=False).ids,
                   lambda line: plain.encode(text(line), add_special_tokens=False).ids,
                   lambda ids: parse.decode([i for i in ids if i not in special], skip_special_tokens=True))


def save(name, data):
    with open(os.path.join(FIXTURES, name), "w", encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=False, separators=(",", ":"))


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")


def make_byte_level(texts):
    alphabet = pre_tokenizers.ByteLevel.alphabet()

    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, show_progress=False))
    # As in llama-3, a token that no merge reaches: found only because merges are ignored for whole words.
    data = json.loads(tok.to_str())
    data["model"]["vocab"]["Ġkeepers"] = len(data["model"]["vocab"])
    tok = Tokenizer.from_str(json.dumps(data))
    tok.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", AddedToken("<mask>", lstrip=True, special=True)])
    tok.add_tokens([AddedToken("<tool>", rstrip=True), AddedToken("[sep]", normalized=False), AddedToken("<|eot", normalized=False)])
    tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
        special_tokens=[("<|begin_of_text|>", tok.token_to_id("<|begin_of_text|>"))])])
    data = json.loads(tok.to_str())
    save("llama3.json", data)

    for name, prefix in (("gpt2.json", False), ("gpt2-prefix.json", True)):
        tok = Tokenizer(models.BPE())
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
        tok.decoder = decoders.ByteLevel()
        tok.post_processor = processors.ByteLevel(trim_offsets=False)
        tok.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=600 if prefix else 1000, initial_alphabet=alphabet,
                                                           special_tokens=["<|endoftext|>"], show_progress=False))
        data = json.loads(tok.to_str())
        if not prefix:  # the form of files from before 2024
            data["model"]["merges"] = [" ".join(m) for m in data["model"]["merges"]]
        save(name, data)


def make_text_level(texts):
    """llama-2 and mistral style: text pieces with byte tokens, trained as BPE over characters."""
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    for name, vocab in (("llama2.json", 900), ("mistral.json", 700)):
        tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
        if name == "llama2.json":
            tok.normalizer = prepend
        else:
            tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
        short = [t for t in texts if len(t) < 300]
        tok.train_from_iterator(short, trainers.BpeTrainer(vocab_size=vocab, limit_alphabet=180, show_progress=False,
                                                           special_tokens=["<unk>"], max_token_length=16))
        data = json.loads(tok.to_str())
        pieces = sorted((t for t in data["model"]["vocab"] if t != "<unk>"), key=data["model"]["vocab"].get)
        names = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)] + pieces
        data["model"]["vocab"] = {t: i for i, t in enumerate(names)}
        data["model"].update(byte_fallback=True, unk_token="<unk>", fuse_unk=True)
        legacy = name == "llama2.json"
        data["added_tokens"] = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, special=True,
                                     normalized=legacy and t == "</s>") for i, t in enumerate(["<unk>", "<s>", "</s>"])]
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        tok.decoder = decoders.Sequence(steps)
        tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
        if not legacy: tok.pre_tokenizer = metaspace
        rules = json.loads(tok.to_str())
        for key in ("normalizer", "pre_tokenizer", "decoder", "post_processor"): data[key] = rules[key]
        save(name, data)
    # Without byte tokens, split at spaces: unknown tokens, and the other decoder.
    tok = Tokenizer(models.BPE(unk_token="[UNK]"))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tok.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tok.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, limit_alphabet=120, show_progress=False,
                                                       special_tokens=["[UNK]", "<pad>"], max_token_length=16))
    save("metaspace.json", json.loads(tok.to_str()))


def make_nfkc(texts):
    prefix = os.path.join(FIXTURES, "nfkc")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([t for t in texts if 0 < len(t) < 400 and "\n" not in t and "\0" not in t]), model_prefix=prefix, model_type="bpe",
        vocab_size=900, normalization_rule_name="nmt_nfkc", byte_fallback=False, character_coverage=0.985,
        user_defined_symbols=["<sep>", "▁▁", "keep"], control_symbols=["<cls>"], minloglevel=2, num_threads=1)
    os.remove(prefix + ".vocab")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", help="folder with stories260k/tokenizer.model and gutenberg3m/tokenizer.model")
    models_folder = parser.parse_args().models
    os.makedirs(FIXTURES, exist_ok=True)
    lines = make_corpus()
    with open(os.path.join(HERE, "corpus.txt"), "w", encoding="utf-8", newline="\n") as file:
        file.write("".join(escape(line) + "\n" for line in lines))
    texts = [line.decode("utf-8", errors="replace") for line in lines]
    if models_folder:
        for name in ("stories260k", "gutenberg3m"):
            shutil.copyfile(os.path.join(models_folder, name, "tokenizer.model"), os.path.join(FIXTURES, name + ".model"))
    make_byte_level(texts)
    make_text_level(texts)
    make_nfkc(texts)
    for name in ("stories260k.model", "gutenberg3m.model", "nfkc.model"): expect_model(name, lines)
    for name in ("llama3.json", "gpt2.json", "gpt2-prefix.json", "llama2.json", "mistral.json", "metaspace.json"):
        expect_json(name, lines)
    print(f"sentencepiece {sentencepiece.__version__}, tokenizers {tokenizers.__version__}, {len(lines)} lines")


if __name__ == "__main__":
    main()
