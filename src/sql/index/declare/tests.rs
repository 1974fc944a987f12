//! Declarations that are taken, and what is said of the others.

use super::*;
use crate::sql::index::affinity::Affinity;
use crate::vector::storage::Storage;
use proptest::prelude::*;

fn declared(arguments: &[&str]) -> Spec {
    parse("idx", arguments).unwrap_or_else(|e| panic!("{arguments:?}: {e}"))
}

fn error(arguments: &[&str]) -> String {
    match parse("idx", arguments) {
        Err(e) => e.message().to_owned(),
        Ok(spec) => panic!("{arguments:?} gave {spec:?}"),
    }
}

fn text(name: &str) -> Column {
    Column {
        name: name.into(),
        indexed: true,
        affinity: Affinity::Blob,
        declared: String::new(),
        collation: None,
    }
}

#[test]
fn the_transcript_is_read() {
    let spec = declared(&[
        "title",
        "body",
        "lang UNINDEXED",
        "content='notes'",
        "content_rowid='id'",
    ]);
    let expected = Spec {
        columns: vec![
            text("title"),
            text("body"),
            Column {
                indexed: false,
                ..text("lang")
            },
        ],
        content: ContentMode::External {
            name: "notes".into(),
            key: Some("id".into()),
        },
        model: None,
        triggers: None,
        catchup: 64,
        chunk_tokens: None,
        overlap: None,
        storage: Storage::F32,
        hidden: Hidden::beside([].into_iter()),
        words: WordsMode::Off,
    };
    assert_eq!(spec, expected);
    assert_eq!(
        spec.create_table("notes_bge"),
        "CREATE TABLE x(\"title\", \"body\", \"lang\", \"notes_bge\" BLOB HIDDEN, k INTEGER HIDDEN, \
         distance REAL HIDDEN, score REAL HIDDEN, passage TEXT HIDDEN, embedding BLOB HIDDEN, \
         rank REAL HIDDEN, by_meaning INTEGER HIDDEN, by_words INTEGER HIDDEN, bm25 REAL HIDDEN, \
         rerank REAL HIDDEN, start INTEGER HIDDEN, stop INTEGER HIDDEN)"
    );
    assert_eq!(spec.query_column(), 3);
    assert_eq!(spec.number_of(Hidden::Embedding), Some(8));
    assert_eq!(spec.role(-1), Some(ColumnRole::Rowid));
    assert_eq!(spec.role(2), Some(ColumnRole::OfUser(2)));
    assert_eq!(spec.role(4), Some(ColumnRole::Hidden(Hidden::K)));
    assert_eq!((spec.role(16), spec.role(-2)), (None, None));
}

#[test]
fn a_column_of_the_users_wins_over_a_later_one_of_ours() {
    let spec = declared(&["a", "Rank UNINDEXED", "stop"]);
    assert_eq!(spec.number_of(Hidden::Rank), None);
    assert_eq!(spec.number_of(Hidden::ByMeaning), Some(9));
    assert_eq!(spec.role(9), Some(ColumnRole::Hidden(Hidden::ByMeaning)));
    assert!(!spec.create_table("idx").contains(" rank REAL"));
    assert!(!spec.hidden.contains(&Hidden::Stop));
    let called_so = parse("start", &["a"]).unwrap();
    assert!(!called_so.hidden.contains(&Hidden::Start));
}

#[test]
fn every_option_is_read() {
    let spec = declared(&[
        "a",
        "Content = [my \"notes\"]",
        "content_rowid=\"the \"\"id\"\"\"",
        "MODEL=bge-small-en-v1.5",
        "triggers = Off",
        "catchup=0",
        "chunk_tokens='128'",
        "overlap = /* none */ 0",
        "storage=INT8",
        "words='my \"fts\"'",
    ]);
    let expected = Spec {
        columns: vec![text("a")],
        content: ContentMode::External {
            name: "my \"notes\"".into(),
            key: Some("the \"id\"".into()),
        },
        model: Some("bge-small-en-v1.5".into()),
        triggers: Some(false),
        catchup: 0,
        chunk_tokens: Some(128),
        overlap: Some(0),
        storage: Storage::Int8,
        words: WordsMode::Named("my \"fts\"".into()),
        hidden: Hidden::beside([].into_iter()),
    };
    assert_eq!(spec, expected);
    let content = |argument| declared(&["a", argument]).content;
    assert_eq!(declared(&["a"]).content, ContentMode::Own);
    for nothing in ["content=''", "content=\"\"", "content = []"] {
        assert_eq!(content(nothing), ContentMode::Contentless);
    }
    for named in ["content=main.notes", "content='main.notes'"] {
        let name = "main.notes".into();
        assert_eq!(content(named), ContentMode::External { name, key: None });
    }
    for (value, on) in [
        ("on", true),
        ("1", true),
        ("TRUE", true),
        ("0", false),
        ("'false'", false),
    ] {
        let triggers = declared(&["a", "content=c", &format!("triggers={value}")]).triggers;
        assert_eq!(triggers, Some(on), "{value}");
    }
}

#[test]
fn columns_are_read_with_type_and_collation() {
    let column = |argument: &str| declared(&["t", argument]).columns[1].clone();
    let of = |name: &str, affinity, declared: &str, collation: Option<&str>| Column {
        name: name.into(),
        indexed: false,
        affinity,
        declared: declared.into(),
        collation: collation.map(Into::into),
    };
    use Affinity::{Blob, Integer, Numeric, Real, Text};
    for (argument, expected) in [
        ("lang unindexed", of("lang", Blob, "", None)),
        (
            "lang TEXT COLLATE NOCASE UNINDEXED",
            of("lang", Text, "TEXT", Some("NOCASE")),
        ),
        (
            "\"a b\" collate 'rtrim' UnIndexed",
            of("a b", Blob, "", Some("RTRIM")),
        ),
        (
            "n VARCHAR (10) UNINDEXED",
            of("n", Text, "VARCHAR(10)", None),
        ),
        (
            "n DECIMAL( 10 , +2 ) UNINDEXED",
            of("n", Numeric, "DECIMAL(10,+2)", None),
        ),
        (
            "[n] double  precision UNINDEXED",
            of("n", Real, "double precision", None),
        ),
        (
            "n UNSIGNED BIG INT UNINDEXED",
            of("n", Integer, "UNSIGNED BIG INT", None),
        ),
        (
            "n /* of it */ INT -- really\n UNINDEXED",
            of("n", Integer, "INT", None),
        ),
        ("unindexed UNINDEXED", of("unindexed", Blob, "", None)),
        (
            "größe_1$ Date UNINDEXED",
            of("größe_1$", Numeric, "Date", None),
        ),
    ] {
        assert_eq!(column(argument), expected, "{argument}");
    }
    for (argument, name) in [
        ("body TEXT", "body"),
        ("body text", "body"),
        ("`a``b`", "a`b"),
        ("'it''s'", "it's"),
        ("\"order\"", "order"),
        ("order", "order"),
        ("unindexed", "unindexed"),
        ("\"x=y\"", "x=y"),
        ("東京", "東京"),
    ] {
        assert_eq!(column(argument), text(name), "{argument}");
    }
    let spec = declared(&["a", "\"b\"\"c\" VARCHAR(9) COLLATE NOCASE UNINDEXED"]);
    assert!(spec.create_table("i\"x").starts_with(
        "CREATE TABLE x(\"a\", \"b\"\"c\" VARCHAR(9) COLLATE \"NOCASE\", \"i\"\"x\" BLOB HIDDEN, k INTEGER HIDDEN, "
    ));
}

#[test]
fn wrong_options_are_named_and_the_known_ones_listed() {
    for (argument, named) in [
        ("contnet='notes'", "unknown option 'contnet'"),
        ("\"a b\"=1", "unknown option 'a b'"),
        ("model='../x'", "'../x' is not a model name"),
        ("model=.x", "'.x' is not a model name"),
        ("model=''", "'' is not a model name"),
        ("catchup=100001", "option catchup is '100001'"),
        ("catchup=-1", "option catchup is '-1'"),
        ("catchup=+1", "option catchup is '+1'"),
        ("catchup=''", "option catchup is ''"),
        ("chunk_tokens=7", "option chunk_tokens is '7'"),
        ("chunk_tokens=1000001", "option chunk_tokens is '1000001'"),
        ("chunk_tokens=1.5", "option chunk_tokens is '1.5'"),
        ("overlap=many", "option overlap is 'many'"),
        ("storage=f64", "option storage is 'f64'"),
        ("content_rowid=''", "option content_rowid is ''"),
        ("triggers=maybe", "option triggers is 'maybe'"),
        ("content=", "option content: expected one value"),
        ("content==x", "option content: expected one value"),
        ("content='a' 'b'", "option content: expected one value"),
        ("content=a b", "option content: expected one value"),
        ("content=\"a\".\"b\"", "option content: expected one value"),
    ] {
        let message = error(&["a", argument]);
        assert!(message.contains(named), "{argument}: {message}");
        assert!(
            message.contains("known: content ("),
            "{argument}: {message}"
        );
    }
    for (arguments, named) in [
        (["catchup=1", "CATCHUP=2"], "catchup is given twice"),
        (["content='c'", "content='d'"], "content is given twice"),
        (
            ["chunk_tokens=16", "overlap=16"],
            "overlap is 16 and chunk_tokens 16",
        ),
        (
            ["content_rowid=id", "content=''"],
            "option content_rowid is about the content table",
        ),
        (
            ["content_rowid=id", "catchup=1"],
            "option content_rowid is about the content table",
        ),
        (
            ["triggers=off", "catchup=1"],
            "option triggers is about the content table",
        ),
        (
            ["content=''", "triggers=off"],
            "option triggers is about the content table",
        ),
        (["content=IDX", "catchup=1"], "its content is \"idx\""),
    ] {
        let message = error(&["a", arguments[0], arguments[1]]);
        assert!(message.contains(named), "{arguments:?}: {message}");
    }
}

#[test]
fn wrong_columns_are_refused_with_the_way_out() {
    for (argument, named) in [
        ("K", "cannot be called \"K\""),
        ("\"distance\" UNINDEXED", "cannot be called"),
        ("score", "cannot be called"),
        ("passage", "cannot be called"),
        ("embedding", "cannot be called"),
        ("RowId", "cannot be called"),
        ("oid", "cannot be called"),
        ("_rowid_", "cannot be called"),
        ("Idx", "what is searched for is a column"),
        ("A", "\"A\" is there twice"),
        ("b INTEGER", "write UNINDEXED behind"),
        ("b UNINDEXD", "write UNINDEXED behind"),
        ("b COLLATE NOCASE", "write UNINDEXED behind"),
        ("b TEXT(5)", "write UNINDEXED behind"),
        ("b UNINDEXED TEXT", "in this order"),
        ("b COLLATE NOCASE TEXT UNINDEXED", "in this order"),
        ("b COLLATE", "in this order"),
        ("b COLLATE '' UNINDEXED", "in this order"),
        ("b COLLATE german UNINDEXED", "known: BINARY, NOCASE, RTRIM"),
        ("b VARCHAR(10) BINARY UNINDEXED", "in this order"),
        ("b VARCHAR(ten) UNINDEXED", "in this order"),
        ("b VARCHAR(1,2,3) UNINDEXED", "in this order"),
        ("b (10) UNINDEXED", "in this order"),
        ("b INTEGER PRIMARY KEY UNINDEXED", "in this order"),
        ("b INT NOT NULL UNINDEXED", "in this order"),
        ("b INT hidden UNINDEXED", "in this order"),
        ("b INT generated always UNINDEXED", "in this order"),
        ("b 'TEXT' UNINDEXED", "in this order"),
        ("b, c", "in this order"),
        ("b CHECK (b > (1)) UNINDEXED", "in this order"),
        ("b VARCHAR((1)) UNINDEXED", "only numbers"),
        ("1b", "expected a column"),
        ("$b", "expected a column"),
        ("*", "expected a column"),
        ("(b)", "expected a column"),
        ("''", "at least one character"),
        ("\"b", "a \" is missing at the end"),
        ("b\0c", "NUL"),
        ("\"b\0c\"", "NUL"),
        ("b COLLATE 'x\0' UNINDEXED", "NUL"),
    ] {
        let message = error(&["a", argument]);
        assert!(message.contains(named), "{argument}: {message}");
    }
    for none in [&[][..], &["a UNINDEXED"], &["content='c'"], &[""]] {
        assert!(error(none).contains("a column with text"), "{none:?}");
    }
    assert!(error(&["a", "b INTEGER"]).starts_with("argument b INTEGER: "));
}

#[test]
fn an_index_may_not_be_called_everything() {
    for name in ["k", "Score", "rowid", "a", "notes", "", "x\0"] {
        let message = parse(name, &["A", "content='Notes'"]).unwrap_err();
        assert!(message.message().contains("cannot be called"), "{name}");
    }
    let spec = declared(&["a", "content='notes'"]);
    assert!(spec.check_index_name("NOTES").is_err());
    assert!(spec.check_index_name("any thing \"else\"").is_ok());
}

proptest! {
    #[test]
    fn no_argument_panics(arguments in proptest::collection::vec("[a-z \"'`\\[\\]()=,./*é\0-]{0,24}", 0..4)) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let _ = parse("idx", &arguments);
    }

    #[test]
    fn any_name_survives_its_quotes(name in "[^\0]{1,20}") {
        let taken = declared(&["a"]).is_taken(&name);
        prop_assume!(!taken && !same(&name, "idx"));
        let quoted = quote_name(&name);
        prop_assert_eq!(&declared(&[&quoted]).columns[0].name, &name);
        let single = format!("'{}'", name.replace('\'', "''"));
        let content = format!("content={single}");
        let spec = declared(&["a", &content]);
        prop_assert_eq!(spec.content, ContentMode::External { name, key: None });
    }
}
