//! Spliced subtrees mean what they meant where they stood.

use std::collections::BTreeMap;

use quick_xml::events::Event;
use quick_xml::name::{Namespace, PrefixDeclaration, QName, ResolveResult};
use quick_xml::reader::NsReader;
use tributary_flow::configuration::Source;

use super::*;

/// An element as a reader of the whole document understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Element {
    name: (String, String),
    attributes: Vec<((String, String), String)>,
    text: String,
    /// What each prefix stands for here. Texts and attribute values may use them.
    scope: BTreeMap<String, String>,
    children: Vec<Element>,
}

fn resolved(reader: &NsReader<&[u8]>, name: QName<'_>, is_attribute: bool) -> (String, String) {
    let resolver = reader.resolver();
    let (result, local) = if is_attribute { resolver.resolve_attribute(name) } else { resolver.resolve_element(name) };
    let namespace = match result {
        ResolveResult::Bound(Namespace(namespace)) => namespace.to_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(prefix) => panic!("the prefix {prefix} is not declared"),
    };
    (namespace, local.into_inner().to_owned())
}

/// Parses a document into a tree, by other code than that under test.
fn parse(text: &str) -> Element {
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let root = Element {
        name: Default::default(),
        attributes: Vec::new(),
        text: String::new(),
        scope: BTreeMap::new(),
        children: Vec::new(),
    };
    let mut open = vec![root];
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                let own = start.attributes().map(Result::unwrap);
                let own = own.filter(|attribute| attribute.key.as_namespace_binding().is_none());
                let mut attributes: Vec<_> =
                    own.map(|one| (resolved(&reader, one.key, true), one.value.into_owned())).collect();
                attributes.sort();
                let scope = reader.resolver().bindings().map(|(prefix, namespace)| {
                    let prefix = match prefix {
                        PrefixDeclaration::Default => "",
                        PrefixDeclaration::Named(prefix) => prefix,
                    };
                    (prefix.to_owned(), namespace.0.to_owned())
                });
                open.push(Element {
                    name: resolved(&reader, start.name(), false),
                    attributes,
                    text: String::new(),
                    scope: scope.collect(),
                    children: Vec::new(),
                });
            }
            Event::End(_) => {
                let done = open.pop().unwrap();
                open.last_mut().unwrap().children.push(done);
            }
            Event::Text(text) => open.last_mut().unwrap().text.push_str(&text),
            Event::Eof => return open.pop().unwrap().children.pop().unwrap(),
            _ => {}
        }
    }
}

/// Checks that an element is the same in another place: all that its prefixes stood for, they stand for there.
fn assert_same(was: &Element, is: &Element) {
    assert_eq!((&was.name, &was.attributes, &was.text), (&is.name, &is.attributes, &is.text));
    for (prefix, namespace) in &was.scope {
        assert_eq!(is.scope.get(prefix), Some(namespace), "{prefix} of {:?}", was.name);
    }
    assert_eq!(was.scope.get(""), is.scope.get(""), "the default namespace of {:?}", was.name);
    assert_eq!(was.children.len(), is.children.len());
    was.children.iter().zip(&is.children).for_each(|(was, is)| assert_same(was, is));
}

/// A generator of random trees (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// Declarations of a start tag. `scope` is what is in scope around it, and then inside.
    fn declarations(&mut self, scope: &mut BTreeMap<String, String>) -> String {
        let mut out = String::new();
        let mut own = Vec::new();
        for _ in 0..self.below(4) {
            let prefix = self.pick(&["", "a", "b", "ns2", "soap", "agg", "h"]);
            if own.contains(&prefix) {
                continue;
            }
            own.push(prefix);
            let namespaces = ["urn:1", "urn:2", CONTRACT, "urn:\"3\"", "", soap::ENVELOPE];
            let namespace = self.pick(if prefix.is_empty() { &namespaces } else { &["urn:1", "urn:2", "urn:&amp;4"] });
            let quote = if namespace.contains('"') { '\'' } else { self.pick(&["'", "\""]).chars().next().unwrap() };
            let colon = if prefix.is_empty() { "" } else { ":" };
            out.push_str(&format!(
                "{}xmlns{colon}{prefix}{}{quote}{namespace}{quote}",
                self.pick(&[" ", "\n "]),
                self.pick(&["=", " = "])
            ));
            if namespace.is_empty() {
                scope.remove(prefix);
            } else {
                scope.insert(prefix.to_owned(), namespace.to_owned());
            }
        }
        out
    }

    /// A name with one of the prefixes in scope.
    fn name(&mut self, scope: &BTreeMap<String, String>, local: &str, can_be_default: bool) -> String {
        let prefixes: Vec<&String> = scope.keys().filter(|prefix| can_be_default || !prefix.is_empty()).collect();
        match prefixes.get(self.below(prefixes.len() as u64 + 1) as usize) {
            Some(prefix) if !prefix.is_empty() => format!("{prefix}:{local}"),
            _ => local.to_owned(),
        }
    }

    fn element(&mut self, outer: &BTreeMap<String, String>, depth: u64) -> String {
        let mut scope = outer.clone();
        let declarations = self.declarations(&mut scope);
        let local = self.pick(&["x", "y", "row"]);
        let name = self.name(&scope, local, true);
        let kind = self.name(&scope, "Type", false);
        let attribute = self.name(&scope, "type", false);
        let mut inside = String::new();
        for _ in 0..self.below(3) {
            let text = self.name(&scope, "text", true);
            inside.push_str(&text);
            if depth > 0 {
                inside.push_str(&self.element(&scope, depth - 1));
            }
        }
        if inside.is_empty() {
            return format!("<{name} {attribute}='{kind}'{declarations}/>");
        }
        format!("<{name}{declarations} {attribute}=\"{kind}\">{inside}</{name}>")
    }

    /// A row of the contract.
    fn row(&mut self, outer: &BTreeMap<String, String>) -> String {
        let mut scope = outer.clone();
        let mut declarations = self.declarations(&mut scope);
        let known = scope.iter().find(|(_, namespace)| *namespace == CONTRACT).map(|(prefix, _)| prefix.clone());
        let prefix = known.unwrap_or_else(|| {
            declarations.push_str(&format!(" xmlns:own='{CONTRACT}'"));
            scope.insert("own".to_owned(), CONTRACT.to_owned());
            "own".to_owned()
        });
        let name = if prefix.is_empty() { "row".to_owned() } else { format!("{prefix}:row") };
        let inside: String = (0..self.below(4)).map(|_| self.element(&scope, 3)).collect();
        format!("<{name}{declarations}>{inside}</{name}>")
    }

    fn answer(&mut self) -> String {
        let mut scope = BTreeMap::from([("env".to_owned(), soap::ENVELOPE.to_owned())]);
        let outer = self.declarations(&mut scope);
        let body = self.declarations(&mut scope);
        let response = self.declarations(&mut scope);
        scope.insert("r".to_owned(), CONTRACT.to_owned());
        let rows: String = (0..self.below(5)).map(|_| self.row(&scope)).collect();
        format!(
            "<env:Envelope xmlns:env='{}'{outer}><env:Body{body}><r:GetOwnResponse xmlns:r='{CONTRACT}'{response}>\
             {rows}</r:GetOwnResponse></env:Body></env:Envelope>",
            soap::ENVELOPE
        )
    }
}

const CONTRACT: &str = "urn:example:OwnResponder:1";

fn descriptor() -> Descriptor {
    let text = format!(
        "name = \"Own.v1\"\npath = \"/Own\"\ncontract = \"{CONTRACT}\"\ninteraction = \"GetOwn\"\n\
         wsdl_namespace = \"urn:example:Own:1:rivtabp21\"\n[query]\npatient = \"id\"\ndomain = \"d\"\n\
         [requests]\ngroup_by = \"sourceSystem\"\n[response]\nconcatenate = [\"row\"]\n\
         append = \"<result><a:b xmlns:a='urn:a'/></result>\"\n"
    );
    Descriptor::read(&Source::new("own.toml", text)).unwrap()
}

fn child<'e>(of: &'e Element, local: &str) -> &'e Element {
    of.children.iter().find(|child| child.name.1 == local).unwrap()
}

#[test]
fn prefixes_survive_splicing() {
    let descriptor = descriptor();
    let stockholm = Stockholm::load().unwrap();
    let mut rows_seen = 0;
    for seed in 1..=2000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let texts: Vec<String> = (0..random.below(4)).map(|_| random.answer()).collect();
        let read = |text: &String| {
            let read = read_answer(&descriptor, 200, None, text.clone().into_bytes(), 1 << 20);
            read.unwrap_or_else(|failure| panic!("seed {seed}: {}: {text}", failure.text))
        };
        let answers = texts.iter().map(|text| Arc::new(read(text))).collect();
        let spliced = write(&descriptor, answers, &[], &stockholm);
        let expected: Vec<Element> = texts
            .iter()
            .flat_map(|text| child(child(&parse(text), "Body"), "GetOwnResponse").children.clone())
            .filter(|row| row.name == (CONTRACT.to_owned(), "row".to_owned()))
            .collect();
        let whole = parse(&spliced);
        let response = child(child(&whole, "Body"), "GetOwnResponse");
        assert_eq!(response.name.0, CONTRACT);
        let (result, rows) = response.children.split_last().unwrap();
        assert_eq!(result.name, (String::new(), "result".to_owned()), "seed {seed}: {spliced}");
        assert_eq!(rows.len(), expected.len(), "seed {seed}: {spliced}");
        expected.iter().zip(rows).for_each(|(was, is)| assert_same(was, is));
        rows_seen += rows.len();
        // The answer is one that this reader would take.
        assert!(read_answer(&descriptor, 200, None, spliced.into_bytes(), 1 << 22).is_ok(), "seed {seed}");
    }
    assert!(rows_seen > 1000, "{rows_seen}");
}

#[test]
fn what_all_answers_declare_is_declared_once() {
    let answer = |rows: &str| {
        let text = format!(
            "<s:Envelope xmlns:s='{}' xmlns:x='urn:x'><s:Body><r:GetOwnResponse xmlns:r='{CONTRACT}'>{rows}\
             </r:GetOwnResponse></s:Body></s:Envelope>",
            soap::ENVELOPE
        );
        read_answer(&descriptor(), 200, Some("text/xml"), text.into_bytes(), 1 << 20).unwrap()
    };
    let (first, second) = (answer("<r:row>x:1</r:row><r:row/>"), answer("<r:row/>"));
    let out = write(&descriptor(), vec![Arc::new(first), Arc::new(second)], &[], &Stockholm::load().unwrap());
    assert_eq!(out.matches("urn:x").count(), 1, "{out}");
    assert!(out.contains("<r:row>x:1</r:row><r:row/><r:row/><result>"), "{out}");
}

#[test]
fn what_is_taken_of_mutated_answers_can_be_put_into_an_answer() {
    let descriptor = descriptor();
    let stockholm = Stockholm::load().unwrap();
    let (mut taken, mut refused) = (0, 0);
    for seed in 1..=20_000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut bytes = random.answer().into_bytes();
        for _ in 0..=random.below(3) {
            let place = random.below(bytes.len() as u64) as usize;
            let other = random.below(bytes.len() as u64) as usize;
            match random.below(4) {
                0 => bytes[place] = random.pick(&["<", ">", "&", "'", "\"", "/", ":", "=", " ", "x"]).as_bytes()[0],
                1 => bytes[place] = random.below(256) as u8,
                2 => drop(bytes.drain(place.min(other)..place.max(other).min(place.min(other) + 20))),
                _ => bytes.swap(place, other),
            }
            if bytes.is_empty() {
                bytes.push(b'<');
            }
        }
        match read_answer(&descriptor, 200, None, bytes, 1 << 20) {
            Ok(answer) => {
                let out = write(&descriptor, vec![Arc::new(answer)], &[], &stockholm);
                assert!(
                    read_answer(&descriptor, 200, None, out.clone().into_bytes(), 1 << 22).is_ok(),
                    "{seed}: {out}"
                );
                taken += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 100 && refused > 10_000, "{taken} {refused}");
}
