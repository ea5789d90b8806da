//! Reads what the server answers into the wire types.
//!
//! The text becomes a tree first, and a type is read out of the tree. A reader that goes over the
//! text itself is made anew by the compiler for every type, each with its own handling of blanks,
//! escapes, numbers and names of fields: for the types of all pages that was a fifth of the
//! console. Here fields are looked up by name once for all types and handed to each in the order
//! of its declaration; what is made anew knows only the types of its fields.
//!
//! For that, a field that is absent counts as `null` where that can be read, and as its default
//! elsewhere. Types that tell an absent field from `null` are those of changes, which the console
//! writes and never reads.

use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde_json::Number;

/// Why a text could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread(Box<str>);

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unread {}

impl Error for Unread {
    #[inline(never)]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }

    /// A type has got fewer fields than it has; which one is missing is filled in by [`Named`].
    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self::default()
    }
}

#[inline(never)]
fn other_type(wanted: &str) -> Unread {
    Unread(format!("{wanted} was expected in another place").into())
}

/// Reads a text of the server. Fields that this console does not know yet are left out.
pub fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, Unread> {
    tree(text)?.read()
}

/// A number as a person types it, with or without a fraction.
#[inline(never)]
pub fn decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        return None;
    }
    // The browser has the tables for that already.
    #[cfg(target_arch = "wasm32")]
    let number = f64::try_from(wasm_bindgen::JsValue::from_str(text)).ok();
    #[cfg(not(target_arch = "wasm32"))]
    let number = text.parse::<f64>().ok();
    number.filter(|number| number.is_finite())
}

/// Reads a text that a person has written. A field that is not known is a fault.
pub fn from_person<T: DeserializeOwned>(text: &str) -> Result<T, Unread> {
    let tree = tree(text)?;
    T::deserialize(Node {
        tree: &tree,
        strict: true,
    })
}

/// The tree of a text.
#[inline(never)]
pub fn tree(text: &str) -> Result<Tree, Unread> {
    serde_json::from_str(text).map_err(Error::custom)
}

/// JSON, with the fields of an object in the order in which they are written.
#[derive(Debug)]
pub enum Tree {
    /// A field that is not there.
    Absent,
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// An object.
    Fields(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(field) = fields.next_entry()? {
            list.push(field);
        }
        Ok(Tree::Fields(list))
    }
}

impl Tree {
    /// Reads a type out of it.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Unread> {
        T::deserialize(Node {
            tree: self,
            strict: false,
        })
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Fields(list) => list
                .iter()
                .find_map(|(own, value)| (own == name).then_some(value)),
            _ => None,
        }
    }

    /// Reads a type out of the field of this name.
    pub fn part<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, Unread> {
        match self.field(name) {
            Some(field) => field.read(),
            None => Self::Absent.read().map_err(|_| Unread::missing_field(name)),
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// One place in the tree.
#[derive(Clone, Copy)]
struct Node<'a> {
    tree: &'a Tree,
    /// A field that is not known is a fault.
    strict: bool,
}

impl<'a> Node<'a> {
    fn at(self, tree: &'a Tree) -> Self {
        Self { tree, ..self }
    }

    #[inline(never)]
    fn text(self) -> Result<&'a str, Unread> {
        self.tree.as_text().ok_or_else(|| other_type("a text"))
    }

    #[inline(never)]
    fn truth(self) -> Result<bool, Unread> {
        match self.tree {
            Tree::Bool(value) => Ok(*value),
            _ => Err(other_type("true or false")),
        }
    }

    #[inline(never)]
    fn whole(self) -> Result<i64, Unread> {
        match self.tree {
            Tree::Number(number) => number.as_i64(),
            _ => None,
        }
        .ok_or_else(|| other_type("a whole number"))
    }

    #[inline(never)]
    fn natural(self) -> Result<u64, Unread> {
        match self.tree {
            Tree::Number(number) => number.as_u64(),
            _ => None,
        }
        .ok_or_else(|| other_type("a whole number"))
    }

    #[inline(never)]
    fn number(self) -> Result<f64, Unread> {
        match self.tree {
            Tree::Number(number) => number.as_f64(),
            _ => None,
        }
        .ok_or_else(|| other_type("a number"))
    }

    #[inline(never)]
    fn fields(self) -> Result<Fields<'a>, Unread> {
        match self.tree {
            Tree::Fields(list) => Ok(Fields {
                rest: list.iter(),
                value: self.at(&Tree::Null),
            }),
            _ => Err(other_type("an object")),
        }
    }

    #[inline(never)]
    fn named(self, names: &'static [&'static str]) -> Result<Named<'a>, Unread> {
        let Tree::Fields(list) = self.tree else {
            return Err(other_type("an object"));
        };
        let unknown = |(name, _): &&(String, Tree)| !names.contains(&name.as_str());
        if self.strict
            && let Some((name, _)) = list.iter().find(unknown)
        {
            return Err(Unread::unknown_field(name, names));
        }
        Ok(Named {
            object: self,
            names: names.iter(),
            missing: "",
        })
    }

    #[inline(never)]
    fn items(self) -> Result<Items<'a>, Unread> {
        match self.tree {
            Tree::List(list) => Ok(Items {
                rest: list.iter(),
                list: self,
            }),
            _ => Err(other_type("a list")),
        }
    }

    /// The word of a choice, and what belongs to it.
    #[inline(never)]
    fn choice(self) -> Result<Choice<'a>, Unread> {
        match self.tree {
            Tree::Text(word) => Ok(Choice {
                word,
                content: self.at(&Tree::Null),
            }),
            Tree::Fields(list) => match list.as_slice() {
                [(word, content)] => Ok(Choice {
                    word,
                    content: self.at(content),
                }),
                _ => Err(other_type("an object with one field")),
            },
            _ => Err(other_type("a word")),
        }
    }
}

macro_rules! read_by {
    ($($method:ident $get:ident $visit:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
            visitor.$visit(self.$get()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.tree {
            Tree::Absent => Err(other_type("something")),
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(n), _) => visitor.visit_u64(n),
                (None, Some(n)) => visitor.visit_i64(n),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Tree::Text(text) => visitor.visit_str(text),
            Tree::List(_) => visitor.visit_seq(self.items()?),
            Tree::Fields(_) => visitor.visit_map(self.fields()?),
        }
    }

    read_by! {
        deserialize_i8 whole visit_i64,
        deserialize_i16 whole visit_i64,
        deserialize_i32 whole visit_i64,
        deserialize_i64 whole visit_i64,
        deserialize_u8 natural visit_u64,
        deserialize_u16 natural visit_u64,
        deserialize_u32 natural visit_u64,
        deserialize_u64 natural visit_u64,
        deserialize_f32 number visit_f64,
        deserialize_f64 number visit_f64,
        deserialize_bool truth visit_bool,
        deserialize_str text visit_str,
        deserialize_string text visit_str,
        deserialize_char text visit_str,
        deserialize_identifier text visit_str,
        deserialize_seq items visit_seq,
        deserialize_map fields visit_map,
        deserialize_bytes items visit_seq,
        deserialize_byte_buf items visit_seq,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        if matches!(self.tree, Tree::Null | Tree::Absent) {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, v: V) -> Result<V::Value, Unread> {
        v.visit_seq(self.items()?)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_seq(self.items()?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        let mut fields = self.named(names)?;
        let read = visitor.visit_seq(&mut fields);
        read.map_err(|unread| fields.explain(unread))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_enum(self.choice()?)
    }
}

/// The fields of an object, as they come.
struct Fields<'a> {
    rest: std::slice::Iter<'a, (String, Tree)>,
    value: Node<'a>,
}

impl<'a> Fields<'a> {
    #[inline(never)]
    fn advance(&mut self) -> Option<&'a str> {
        let (name, value) = self.rest.next()?;
        self.value = self.value.at(value);
        Some(name)
    }
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unread> {
        match self.advance() {
            Some(name) => seed.deserialize(Word(name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unread> {
        seed.deserialize(self.value)
    }
}

/// The fields of an object, in the order in which a type declares them.
struct Named<'a> {
    object: Node<'a>,
    names: std::slice::Iter<'static, &'static str>,
    /// The last one that was not there.
    missing: &'static str,
}

impl<'a> Named<'a> {
    #[inline(never)]
    fn advance(&mut self) -> Option<Node<'a>> {
        let name = self.names.next()?;
        let field = self.object.tree.field(name);
        if field.is_none() {
            self.missing = name;
        }
        Some(self.object.at(field.unwrap_or(&Tree::Absent)))
    }

    #[inline(never)]
    fn explain(&self, unread: Unread) -> Unread {
        if unread == Unread::default() {
            Unread::missing_field(self.missing)
        } else {
            unread
        }
    }
}

impl<'de> SeqAccess<'de> for Named<'de> {
    type Error = Unread;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unread> {
        let Some(field) = self.advance() else {
            return Ok(None);
        };
        match seed.deserialize(field) {
            Ok(value) => Ok(Some(value)),
            // The type has a default for it, or says that it is missing.
            Err(_) if matches!(field.tree, Tree::Absent) => Ok(None),
            Err(unread) => Err(unread),
        }
    }
}

/// The items of a list.
struct Items<'a> {
    rest: std::slice::Iter<'a, Tree>,
    list: Node<'a>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Unread;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unread> {
        match self.rest.next() {
            Some(value) => seed.deserialize(self.list.at(value)).map(Some),
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The name of a field, or the word of a choice.
struct Word<'a>(&'a str);

impl<'de> Deserializer<'de> for Word<'de> {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_str(self.0)
    }

    // A name may stand for one of a few words, or be wrapped in a type of its own.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_enum(Choice {
            word: self.0,
            content: Node {
                tree: &Tree::Null,
                strict: false,
            },
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unread> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// One of several, and what belongs to it.
struct Choice<'a> {
    word: &'a str,
    content: Node<'a>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Unread;
    type Variant = Node<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Node<'de>), Unread> {
        Ok((seed.deserialize(Word(self.word))?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Node<'de> {
    type Error = Unread;

    fn unit_variant(self) -> Result<(), Unread> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Unread> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_seq(self.items()?)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        self.deserialize_struct("", names, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use engine::model::RuleSpec;
    use engine::signature::Scheme;
    use openapi::DateTime;
    use openapi::problem::Code;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Choice {
        Unit,
        One(Uuid),
        Pair(u8, bool),
        Named {
            at: DateTime,
            #[serde(default = "seven")]
            seven: u8,
        },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct All {
        whole: i32,
        natural: u64,
        part: f64,
        text: String,
        list: Vec<Option<bool>>,
        pairs: Vec<(String, String)>,
        map: BTreeMap<String, Choice>,
        any: Value,
        maybe: Option<String>,
        nothing: Option<Value>,
        #[serde(default)]
        usual: Vec<u8>,
        #[serde(default = "seven")]
        seven: u8,
        #[serde(rename = "type")]
        kind: Code,
    }

    fn seven() -> u8 {
        7
    }

    fn sample() -> Value {
        json!({
            "type": "not_found", "whole": -3, "natural": u64::MAX, "part": 2, "text": "é\n\u{1F980}",
            "list": [true, null, false], "pairs": [["a", "b"]],
            "map": {
                "a": "unit", "b": {"one": "019ab000-0000-7000-8000-000000000000"},
                "c": {"pair": [3, true]}, "d": {"named": {"at": "2026-11-21T10:00:00Z"}}
            },
            "any": {"z": [1, -2, 1.5, "x", null, true, {}], "a": {}}, "new in a later server": [1]
        })
    }

    fn without(name: &str) -> String {
        let mut value = sample();
        if let Some(fields) = value.as_object_mut() {
            fields.remove(name);
        }
        value.to_string()
    }

    #[test]
    fn it_reads_what_others_read() -> Result<(), Box<dyn std::error::Error>> {
        let text = sample().to_string();
        assert_eq!(
            from_text::<All>(&text)?,
            serde_json::from_str::<All>(&text)?
        );
        assert_eq!(from_text::<Value>(&text)?, sample());
        let scheme = r#"{"type": "hmac", "header": "X-Signature", "algorithm": "sha256"}"#;
        assert_eq!(from_text::<Scheme>(scheme)?, serde_json::from_str(scheme)?);
        Ok(())
    }

    #[test]
    fn what_is_absent_is_null_or_its_default_or_a_fault() -> Result<(), Unread> {
        let all: All = from_text(&sample().to_string())?;
        assert_eq!((all.maybe, all.nothing), (None, None));
        assert_eq!((all.usual, all.seven), (Vec::new(), 7));
        for name in ["whole", "text", "list", "map", "any", "type"] {
            let fault = from_text::<All>(&without(name)).map_err(|unread| unread.to_string());
            assert_eq!(fault, Err(format!("missing field `{name}`")));
        }
        Ok(())
    }

    #[test]
    fn the_order_of_fields_stays() -> Result<(), Unread> {
        let rule = r#"{"then": [{"deliver": {"connection": "c", "operation": "o", "map": {"z": "1", "a": "2", "m": "3"}}}]}"#;
        let spec: RuleSpec = from_text(rule)?;
        let text = crate::api::to_text(&spec).unwrap_or_default();
        assert!(
            text.contains(r#""map":{"z":"1","a":"2","m":"3"}"#),
            "{text}"
        );
        Ok(())
    }

    #[test]
    fn a_person_is_told_what_is_wrong() {
        let told = |text: &str| from_person::<RuleSpec>(text).map_err(|unread| unread.to_string());
        for (text, part) in [
            ("{", "at line 1"),
            ("[]", "an object was expected"),
            ("{}", "missing field `then`"),
            (r#"{"then": "drop", "prio": 1}"#, "unknown field `prio`"),
            (
                r#"{"then": [{"deliver": {"operation": "o"}}]}"#,
                "missing field `connection`",
            ),
            (
                r#"{"then": [{"deliver": {"connection": "c", "operation": "o", "lane": 1}}]}"#,
                "unknown field `lane`",
            ),
        ] {
            let told = told(text);
            assert!(
                told.as_ref().is_err_and(|told| told.contains(part)),
                "{told:?}"
            );
        }
        assert!(from_text::<RuleSpec>(r#"{"then": "drop", "later": 1}"#).is_ok());
    }

    #[test]
    fn numbers_are_typed_in_many_ways() {
        for (text, number) in [
            (" 1 ", Some(1.0)),
            ("1.5", Some(1.5)),
            ("-2e3", Some(-2000.0)),
            ("", None),
            ("x", None),
            ("0x10", None),
            ("1,5", None),
            ("inf", None),
        ] {
            assert_eq!(decimal(text), number, "{text}");
        }
    }
}
