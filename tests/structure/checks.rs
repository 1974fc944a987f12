//! The checks, each a function from a tree to what is wrong with it, one sentence a fault.

use crate::places::{ALLOWED_UNSAFE, CRATES, LARGEST_FILE, LAYERS, ONE_THING, PURE};
use crate::tree::{Edge, Tree, Via, attributes, is_test};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Write;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

pub type Faults = Vec<String>;

/// Whether a file stands at one of the places: `a/b.rs`; `a/` for a folder; `a/**/b.rs` for a file of
/// that name anywhere below `a`.
pub fn stands(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| match place.split_once("**/") {
        Some((folder, name)) => {
            path.starts_with(folder) && format!("/{path}").ends_with(&format!("/{name}"))
        }
        None if place.ends_with('/') => path.starts_with(place),
        None => path == *place,
    })
}

fn shown(tree: &Tree, edge: &Edge) -> String {
    format!(
        "{}: {} is in src/{}",
        tree.at(edge.from, edge.line),
        edge.path,
        tree.files[edge.to].path
    )
}

/// Of all edges between the same two files, the first.
fn first_edges(tree: &Tree) -> Vec<&Edge> {
    let mut seen = HashSet::new();
    let edges = tree.edges.iter();
    edges
        .filter(|edge| seen.insert((edge.from, edge.to)))
        .collect()
}

/// A layer imports only what stands below it, and re-exports only that.
pub fn layers(tree: &Tree) -> Faults {
    let layer = |path: &str| LAYERS.iter().find(|(places, _)| stands(path, places));
    let mut faults = Faults::new();
    for edge in first_edges(tree) {
        let to = &tree.files[edge.to].path;
        if let Some((own, below)) = layer(&tree.files[edge.from].path)
            && !stands(to, own)
            && !stands(to, below)
        {
            faults.push(shown(tree, edge));
        }
    }
    faults
}

/// Circles of imports, the shortest of each knot.
pub fn circles(tree: &Tree) -> Faults {
    let mut next: HashMap<usize, BTreeMap<usize, &Edge>> = HashMap::new();
    for edge in &tree.edges {
        if matches!(edge.via, Via::Import | Via::Method(_)) {
            next.entry(edge.from)
                .or_default()
                .entry(edge.to)
                .or_insert(edge);
        }
    }
    let mut faults = Faults::new();
    let mut told: HashSet<usize> = HashSet::new();
    for start in 0..tree.files.len() {
        if told.contains(&start) {
            continue;
        }
        let Some(circle) = shortest_circle(start, &next) else {
            continue;
        };
        told.extend(circle.iter().map(|edge| edge.from));
        let mut words = format!("a circle of {} files:", circle.len());
        for edge in circle {
            write!(words, "\n    {}", shown(tree, edge)).unwrap();
        }
        faults.push(words);
    }
    faults
}

fn shortest_circle<'t>(
    start: usize,
    next: &HashMap<usize, BTreeMap<usize, &'t Edge>>,
) -> Option<Vec<&'t Edge>> {
    let mut came: HashMap<usize, &Edge> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for (to, edge) in next.get(&file).into_iter().flatten() {
            if *to == start {
                let mut circle = vec![*edge];
                while circle.last().unwrap().from != start {
                    circle.push(came[&circle.last().unwrap().from]);
                }
                circle.reverse();
                return Some(circle);
            }
            if !came.contains_key(to) {
                came.insert(*to, edge);
                queue.push_back(*to);
            }
        }
    }
    None
}

/// What does no I/O imports only what does none.
pub fn purity(tree: &Tree) -> Faults {
    let mut faults = Faults::new();
    // A module by itself is no item: the paths through it are edges of their own.
    let mut seen = HashSet::new();
    for edge in tree.edges.iter().filter(|edge| edge.via != Via::Module) {
        let (from, to) = (&tree.files[edge.from].path, &tree.files[edge.to].path);
        if stands(from, PURE) && !stands(to, PURE) && seen.insert((edge.from, edge.to)) {
            faults.push(format!("{}, which is not pure", shown(tree, edge)));
        }
    }
    const IMPURE: [&str; 8] = ["env", "fs", "io", "net", "os", "process", "thread", "time"];
    for foreign in &tree.foreign {
        let path: Vec<&str> = foreign.path.iter().map(String::as_str).collect();
        let impure = matches!(path.as_slice(), ["std", module, ..] if IMPURE.contains(module))
            || matches!(
                path.as_slice(),
                ["libc" | "getrandom" | "ort" | "sqlite_loadable", ..]
            );
        if impure && stands(&tree.files[foreign.file].path, PURE) {
            faults.push(format!(
                "{}: {} is not pure",
                tree.at(foreign.file, foreign.line),
                path.join("::")
            ));
        }
    }
    faults
}

/// Crates that have a place are named only there.
pub fn crates(tree: &Tree) -> Faults {
    let mut faults = Faults::new();
    for foreign in &tree.foreign {
        let place = CRATES.iter().find(|(name, _)| *name == foreign.path[0]);
        if let Some((name, places)) = place
            && !stands(&tree.files[foreign.file].path, places)
        {
            faults.push(format!(
                "{}: the crate {name} belongs in {}",
                tree.at(foreign.file, foreign.line),
                places.join(", ")
            ));
        }
    }
    for (index, file) in tree.files.iter().enumerate() {
        for_words(file.syntax.items.iter(), &mut |word, line| {
            let in_ffi = file.path.starts_with("sql/ffi/");
            if word.starts_with("sqlite3ext_") || word.starts_with("define_scalar") {
                faults.push(format!(
                    "{}: {word}: sqlite-loadable's helpers go through one global table",
                    tree.at(index, line)
                ));
            } else if word.starts_with("sqlite3_") && !in_ffi {
                faults.push(format!(
                    "{}: {word}: SQLite's API is named only in sql/ffi",
                    tree.at(index, line)
                ));
            }
        });
    }
    for foreign in &tree.foreign {
        if matches!(foreign.path.as_slice(), [a, b, ..] if a == "sqlite_loadable" && b != "ext") {
            faults.push(format!(
                "{}: {}: sqlite-loadable gives types only",
                tree.at(foreign.file, foreign.line),
                foreign.path.join("::")
            ));
        }
    }
    faults
}

/// Every identifier of the items that are no tests, with its line.
fn for_words<'a>(items: impl Iterator<Item = &'a syn::Item>, told: &mut impl FnMut(&str, usize)) {
    struct Words<'f, F>(&'f mut F);
    impl<'a, F: FnMut(&str, usize)> Visit<'a> for Words<'_, F> {
        fn visit_item(&mut self, item: &'a syn::Item) {
            if !is_test(attributes(item)) {
                visit::visit_item(self, item);
            }
        }
        fn visit_ident(&mut self, word: &'a proc_macro2::Ident) {
            (self.0)(&word.to_string(), word.span().start().line);
        }
        fn visit_macro(&mut self, call: &'a syn::Macro) {
            visit::visit_macro(self, call);
            words_of(call.tokens.clone(), self.0);
        }
        fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
            if let syn::Meta::List(list) = &attribute.meta {
                words_of(list.tokens.clone(), self.0);
            }
        }
    }
    let mut words = Words(told);
    for item in items {
        words.visit_item(item);
    }
}

fn words_of(tokens: TokenStream, told: &mut impl FnMut(&str, usize)) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => words_of(group.stream(), told),
            TokenTree::Ident(word) => told(&word.to_string(), word.span().start().line),
            _ => {}
        }
    }
}

/// The lines on which an unsafe block or an unsafe impl begins, and those of any other `unsafe`.
#[derive(Default)]
struct Unsafe {
    blocks: Vec<usize>,
    others: Vec<usize>,
}

impl<'a> Visit<'a> for Unsafe {
    fn visit_expr_unsafe(&mut self, block: &'a syn::ExprUnsafe) {
        self.blocks.push(block.unsafe_token.span.start().line);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        self.blocks
            .extend(item.unsafety.map(|word| word.span.start().line));
        visit::visit_item_impl(self, item);
    }

    fn visit_signature(&mut self, signature: &'a syn::Signature) {
        self.others
            .extend(signature.unsafety.map(|word| word.span.start().line));
        visit::visit_signature(self, signature);
    }

    fn visit_type_bare_fn(&mut self, _: &'a syn::TypeBareFn) {}

    fn visit_attribute(&mut self, attribute: &'a syn::Attribute) {
        let is_allowed = matches!(&attribute.meta, syn::Meta::List(list)
            if list.path.is_ident("allow") && list.tokens.to_string().contains("unsafe_code"));
        if is_allowed || attribute.path().is_ident("unsafe") {
            self.others.push(attribute.span().start().line);
        }
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        words_of(call.tokens.clone(), &mut |word, line| {
            if word == "unsafe" {
                self.blocks.push(line);
            }
        });
    }
}

/// `unsafe` stands in its places, and each block has a SAFETY sentence of its own.
pub fn unsafe_code(tree: &Tree) -> Faults {
    let mut faults = Faults::new();
    for (index, file) in tree.files.iter().enumerate() {
        let mut found = Unsafe::default();
        found.visit_file(&file.syntax);
        if !stands(&file.path, ALLOWED_UNSAFE) {
            for line in found.blocks.iter().chain(&found.others) {
                faults.push(format!(
                    "{}: unsafe outside its places",
                    tree.at(index, *line)
                ));
            }
        }
        let lines: Vec<&str> = file.text.lines().collect();
        let starts: HashSet<usize> = found.blocks.iter().copied().collect();
        for start in &found.blocks {
            if !has_safety(&lines, *start, &starts) {
                faults.push(format!(
                    "{}: unsafe without a SAFETY sentence",
                    tree.at(index, *start)
                ));
            }
        }
    }
    faults
}

/// A SAFETY comment stands on the lines above, nearer than any other unsafe block: up to six lines of
/// the statement that the block is part of, then the comment.
fn has_safety(lines: &[&str], start: usize, starts: &HashSet<usize>) -> bool {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    let mut code = 0;
    for number in (1..start).rev() {
        let line = lines[number - 1];
        if is_comment(line) {
            if line.contains("SAFETY") {
                return true;
            }
        } else {
            code += 1;
            if code > 6 || starts.contains(&number) {
                return false;
            }
        }
    }
    false
}

/// Files are small and say what they are.
pub fn files(tree: &Tree) -> Faults {
    let mut faults = Faults::new();
    for file in &tree.files {
        let lines = file.text.lines().count();
        if lines > LARGEST_FILE {
            faults.push(format!("src/{} has {lines} lines", file.path));
        }
        if !file.text.starts_with("//!") {
            faults.push(format!("src/{} does not start with what it is", file.path));
        }
    }
    faults
}

/// Nothing is left unfinished, and nothing prints to the host's terminal.
pub fn finished(tree: &Tree) -> Faults {
    const MACROS: [&str; 7] = [
        "todo",
        "unimplemented",
        "dbg",
        "print",
        "println",
        "eprint",
        "eprintln",
    ];
    struct Calls(Vec<(String, usize)>);
    impl<'a> Visit<'a> for Calls {
        fn visit_item(&mut self, item: &'a syn::Item) {
            if !is_test(attributes(item)) {
                visit::visit_item(self, item);
            }
        }
        fn visit_macro(&mut self, call: &'a syn::Macro) {
            let name = call.path.segments.last().unwrap().ident.to_string();
            self.0.push((name, call.path.span().start().line));
            calls_in(call.tokens.clone(), &mut self.0);
        }
    }
    fn calls_in(tokens: TokenStream, found: &mut Vec<(String, usize)>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => calls_in(group.stream(), found),
                TokenTree::Ident(name) if matches!(tokens.get(at + 1), Some(TokenTree::Punct(p)) if p.as_char() == '!') =>
                {
                    found.push((name.to_string(), name.span().start().line));
                }
                _ => {}
            }
        }
    }
    let mut faults = Faults::new();
    for (index, file) in tree.files.iter().enumerate().filter(|(_, f)| !f.test_only) {
        let mut calls = Calls(Vec::new());
        calls.visit_file(&file.syntax);
        for (name, line) in calls.0 {
            if MACROS.contains(&name.as_str()) {
                faults.push(format!("{}: {name}!", tree.at(index, line)));
            }
        }
        for (number, line) in file.text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.any(|word| matches!(word, "FIXME" | "TODO" | "XXX" | "HACK")) {
                faults.push(format!("{}: {}", tree.at(index, number + 1), line.trim()));
            }
        }
    }
    faults
}

/// Each of these words names one type.
pub fn one_word_one_thing(tree: &Tree) -> Faults {
    struct Types(Vec<(String, usize)>);
    impl<'a> Visit<'a> for Types {
        fn visit_item(&mut self, item: &'a syn::Item) {
            if is_test(attributes(item)) {
                return;
            }
            let name = match item {
                syn::Item::Struct(i) => Some(&i.ident),
                syn::Item::Enum(i) => Some(&i.ident),
                syn::Item::Type(i) => Some(&i.ident),
                syn::Item::Trait(i) => Some(&i.ident),
                syn::Item::Union(i) => Some(&i.ident),
                _ => None,
            };
            self.0
                .extend(name.map(|name| (name.to_string(), name.span().start().line)));
            visit::visit_item(self, item);
        }
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, file) in tree.files.iter().enumerate().filter(|(_, f)| !f.test_only) {
        let mut types = Types(Vec::new());
        types.visit_file(&file.syntax);
        for (name, line) in types.0 {
            if ONE_THING.contains(&name.as_str()) {
                found.entry(name).or_default().push(tree.at(index, line));
            }
        }
    }
    found
        .into_iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("{name} names {} types: {}", places.len(), places.join(", ")))
        .collect()
}
