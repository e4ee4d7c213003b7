//! Owns the building of nodes out of the YAML parser's events: anchors, merge keys, repeated keys.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{Entry, Node, YamlError};
use crate::config::yaml11;

/// Deeper nesting is refused, for it would overflow the stack.
const DEEPEST: usize = 64;
/// Nodes that aliases may repeat in all.
const ALIAS_BUDGET: usize = 100_000;

/// Reads the one mapping that a configuration file consists of.
pub(in crate::config) fn read(text: &str) -> Result<Vec<Entry>, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parser = Parser::new_from_str(text);
    let mut composer = Composer {
        parser,
        anchors: BTreeMap::new(),
        budget: ALIAS_BUDGET,
    };
    let mut root = None;
    loop {
        let (event, line) = composer.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if root.is_some() => {
                return error(line, "a second document begins; only one is expected");
            }
            event => root = Some(composer.node(event, line, 0)?),
        }
    }
    match root {
        Some(Node::Map(entries)) => Ok(entries),
        None | Some(Node::Null) => error(1, "the file is empty; expected `KEY: value` lines"),
        Some(_) => error(1, "this is not a mapping; expected `KEY: value` lines"),
    }
}

fn error<T>(line: usize, what: &str) -> Result<T, YamlError> {
    Err(YamlError {
        line,
        what: what.to_owned(),
    })
}

/// Builds nodes out of the parser's events.
struct Composer<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: BTreeMap<usize, Node>,
    budget: usize,
}

impl<'t> Composer<'t> {
    /// Takes the next event and its line.
    fn next(&mut self) -> Result<(Event<'t>, usize), YamlError> {
        let scan = |error: ScanError| YamlError {
            line: error.marker().line(),
            what: error.info().to_owned(),
        };
        let end = (Event::StreamEnd, Span::default());
        let (event, span) = self.parser.next().unwrap_or(Ok(end)).map_err(scan)?;
        Ok((event, span.start.line()))
    }

    /// Builds the node that an event begins.
    fn node(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<Node, YamlError> {
        if depth > DEEPEST {
            return error(line, "values are nested too deeply");
        }
        let (anchor, node) = match event {
            Event::Alias(anchor) => return self.alias(anchor, line),
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, scalar(&text, style, tag.as_deref()))
            }
            Event::SequenceStart(anchor, tag) => {
                let nodes = Node::List(self.list(depth)?);
                (anchor, collection(nodes, tag.as_deref(), "seq"))
            }
            Event::MappingStart(anchor, tag) => {
                let map = self.map(depth)?;
                (anchor, collection(map, tag.as_deref(), "map"))
            }
            _ => return error(line, "a value is missing"),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Repeats the node of an anchor, within the budget.
    fn alias(&mut self, anchor: usize, line: usize) -> Result<Node, YamlError> {
        let Some(node) = self.anchors.get(&anchor) else {
            return error(line, "an alias stands inside its own anchor");
        };
        match self.budget.checked_sub(node.size()) {
            Some(left) => self.budget = left,
            None => return error(line, "aliases repeat too much"),
        }
        Ok(node.clone())
    }

    /// Builds the items of a list up to its end.
    fn list(&mut self, depth: usize) -> Result<Vec<Node>, YamlError> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(nodes),
                (event, line) => nodes.push(self.node(event, line, depth + 1)?),
            }
        }
    }

    /// Builds a map up to its end; its own keys go before what `<<` merges in.
    fn map(&mut self, depth: usize) -> Result<Node, YamlError> {
        let (mut entries, mut merged, mut odd) = (Vec::new(), Vec::new(), None);
        loop {
            let (event, line) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.key(event, line, depth)?;
            let (event, value_line) = self.next()?;
            let node = self.node(event, value_line, depth + 1)?;
            match key {
                Some(_) if is_merge => odd = odd.or(merge(node, &mut merged).err()),
                Some(key) => insert(&mut entries, Entry { key, line, node }),
                None => odd = Some("has a key that is not a name".to_owned()),
            }
        }
        for entry in merged {
            if !entries.iter().any(|own: &Entry| own.key == entry.key) {
                entries.push(entry);
            }
        }
        Ok(odd.map_or(Node::Map(entries), Node::Odd))
    }

    /// Builds a key; `None` when it is not a name.
    fn key(
        &mut self,
        event: Event<'t>,
        line: usize,
        depth: usize,
    ) -> Result<Option<String>, YamlError> {
        let name = match &event {
            Event::Scalar(text, ..) => Some(text.to_string()), // as written: `on` is a name here
            _ => None,
        };
        let node = self.node(event, line, depth + 1)?;
        Ok(name.or(match node {
            Node::Text(text) => Some(text),
            _ => None,
        }))
    }
}

/// Adds a key. Given twice, it has no certain value: Quay takes the last one, its reader the first.
fn insert(entries: &mut Vec<Entry>, entry: Entry) {
    match entries.iter_mut().find(|known| known.key == entry.key) {
        Some(known) => {
            known.node = Node::Odd(format!(
                "is given twice, in lines {} and {}; remove one",
                known.line, entry.line
            ));
        }
        None => entries.push(entry),
    }
}

/// Takes the keys of the map, or of the list of maps, behind `<<`; earlier ones count.
fn merge(node: Node, merged: &mut Vec<Entry>) -> Result<(), String> {
    match node {
        Node::Map(entries) => merged.extend(entries),
        Node::List(nodes) => return nodes.into_iter().try_for_each(|node| merge(node, merged)),
        _ => return Err("merges something that is not a mapping".to_owned()),
    }
    Ok(())
}

/// Resolves a scalar by its quotes and tag.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Node {
    let core = tag
        .filter(|tag| tag.is_yaml_core_schema())
        .map(|tag| tag.suffix.as_str());
    match (tag, core, yaml11::resolve(text)) {
        (None, _, plain) if style == ScalarStyle::Plain => plain,
        (None, ..) | (_, Some("str"), _) => Node::Text(text.to_owned()),
        (_, Some("bool"), node @ Node::Bool(_))
        | (_, Some("int"), node @ Node::Int(_))
        | (_, Some("float"), node @ Node::Float(_))
        | (_, Some("null"), node @ Node::Null) => node,
        _ => Node::Odd("has a tag that is not understood".to_owned()),
    }
}

/// Accepts a collection without a tag or with its own.
fn collection(node: Node, tag: Option<&Tag>, own: &str) -> Node {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == own) => {
            Node::Odd("has a tag that is not understood".to_owned())
        }
        _ => node,
    }
}
