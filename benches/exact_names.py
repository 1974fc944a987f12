"""Makes benches/exact_names/: passages that have a name in them, and questions that ask for it.

Names are what meaning finds badly and words surely: Debian packages with their versions (from apt's lists of
the machine that this ran on), codes of errors, numbers of parts. Passages of one kind resemble each other,
as those of a catalogue do. The seed is fixed; the files are kept, so that figures of different days compare.

    python3 benches/exact_names.py
"""

import pathlib
import random
import re
import subprocess

FOLDER = pathlib.Path(__file__).parent / "exact_names"
OF_A_KIND = 400  # passages; a quarter of them is asked for by the name alone, another in a sentence

CAUSES = ["the connection was closed by the other side", "another session holds the lock", "the certificate has run out",
          "the disk has no room left", "the request took longer than is allowed", "the table is older than the program",
          "a parameter has a type that is not expected", "the account has no right to write here",
          "the file ends in the middle of a record", "two rows have the same key"]
REMEDIES = ["Try again in a minute.", "Ask the administrator for the right.", "Restart the service and look at the log.",
            "Restore the last copy.", "Install the newer version.", "Check the settings of the proxy.", "Close the other program first."]
PARTS = ["resistor", "ceramic capacitor", "ball bearing", "hydraulic seal", "stepper motor", "relay", "fuse holder",
         "pressure sensor", "shaft coupling", "voltage regulator"]
PLACES = ["in the left drawer", "on the upper shelf", "in the spare parts room", "at the supplier's", "in box twelve"]
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def packages(chance):
    """(name, passage) of Debian packages."""
    listed = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^Package: (\S+)\nVersion: (\S+)$.*?^Section: (\S+)$", listed, re.M | re.S)
    for name, version, section in chance.sample(sorted(set(found)), OF_A_KIND):
        yield name, f"{name} {version} is a package of the section {section}."


def errors(chance):
    """(code, passage) of errors."""
    kinds = [lambda: f"ORA-{chance.randrange(100, 30_000):05}", lambda: f"0x8007{chance.randrange(65_536):04X}",
             lambda: f"E{chance.randrange(1000, 9999)}", lambda: f"CVE-{chance.randrange(2012, 2026)}-{chance.randrange(1000, 49_999)}",
             lambda: "SQLITE_" + chance.choice(["BUSY", "IOERR", "CORRUPT", "CANTOPEN", "READONLY"]) + "_"
                     + chance.choice(["SNAPSHOT", "RECOVERY", "TIMEOUT", "READ", "FSYNC", "VTAB", "INDEX", "ISDIR"])]
    for code in names(chance, kinds):
        yield code, chance.choice([f"{code}: {chance.choice(CAUSES)}. {chance.choice(REMEDIES)}",
                                   f"When {chance.choice(CAUSES)}, the program ends with {code}. {chance.choice(REMEDIES)}"])


def parts(chance):
    """(number, passage) of spare parts."""
    kinds = [lambda: f"{chance.choice(LETTERS)}{chance.choice(LETTERS)}-{chance.randrange(1000, 9999)}-{chance.choice(LETTERS)}",
             lambda: f"74{chance.choice(['HC', 'LS', 'HCT', 'AC'])}{chance.randrange(100, 999)}{chance.choice(LETTERS)}",
             lambda: f"{chance.randrange(100, 999)}.{chance.randrange(100, 999)}.{chance.randrange(10, 99)}"]
    for number in names(chance, kinds):
        yield number, f"The {chance.choice(PARTS)} {number} is kept {chance.choice(PLACES)}."


def names(chance, kinds):
    found = {}
    while len(found) < OF_A_KIND:
        found.setdefault(chance.choice(kinds)())
    return list(found)


SENTENCES = {
    packages: ["which section is {} in?", "how do I install {}", "what version of {} is there"],
    errors: ["what does {} mean?", "I get {} since the upgrade, what can I do about it?", "how to fix {}"],
    parts: ["where is {} kept?", "do we have {} here", "order {} again"],
}


def main():
    chance = random.Random(20)
    FOLDER.mkdir(exist_ok=True)
    passages, questions, judgements = [], [], []
    for kind, sentences in SENTENCES.items():
        made = list(kind(chance))
        first = len(passages) + 1
        passages += [passage for _, passage in made]
        for number, row in enumerate(chance.sample(range(OF_A_KIND), OF_A_KIND // 2)):
            name = made[row][0]
            alone = number < OF_A_KIND // 4
            asked = f"{kind.__name__}-{'alone' if alone else 'asked'}-{number}"
            questions.append(f"{asked}\t{name if alone else chance.choice(sentences).format(name)}")
            judgements.append(f"{asked} 0 {first + row} 1")
    for file, lines in (("passages.txt", passages), ("questions.tsv", questions), ("judgements.qrels", judgements)):
        (FOLDER / file).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
