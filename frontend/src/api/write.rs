//! Writes JSON, for requests and for people.
//!
//! The counterpart of [`super::read`], and for the same reason: what is made anew for each type
//! only walks over its fields. Fractions are written by the browser, which has the tables for that
//! already.

use std::fmt::{self, Write};

use serde::Serialize;
use serde::ser::{
    Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Why something could not be written.
#[derive(Debug)]
pub struct Unwritten(Box<str>);

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unwritten {}

impl Error for Unwritten {
    #[inline(never)]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

/// JSON in one line, as `{"a":1}`.
///
/// # Errors
/// The type itself refuses.
pub fn to_text<T: Serialize + ?Sized>(value: &T) -> Result<String, Unwritten> {
    let mut out = Out::default();
    value.serialize(&mut out)?;
    Ok(out.text)
}

/// JSON for people, over several lines; empty if the type itself refuses.
pub fn to_pretty<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Out {
        pretty: true,
        ..Out::default()
    };
    match value.serialize(&mut out) {
        Ok(()) => out.text,
        Err(_) => String::new(),
    }
}

/// A number as the shortest text that reads as the same one.
#[inline(never)]
pub fn fraction(value: f64) -> String {
    #[cfg(target_arch = "wasm32")]
    let text = js_sys::Number::from(value)
        .to_string_with_radix(10)
        .map_or_else(|_| String::new(), String::from);
    #[cfg(not(target_arch = "wasm32"))]
    let text = value.to_string();
    text
}

#[derive(Default)]
struct Out {
    text: String,
    pretty: bool,
    depth: usize,
}

impl Out {
    #[inline(never)]
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    #[inline(never)]
    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\u{8}' => self.text.push_str("\\b"),
                '\u{c}' => self.text.push_str("\\f"),
                c if c < ' ' => {
                    // A String takes everything.
                    let _ = write!(self.text, "\\u{:04x}", u32::from(c));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }

    #[inline(never)]
    fn whole(&mut self, value: i64) {
        self.text.push_str(&value.to_string());
    }

    #[inline(never)]
    fn natural(&mut self, value: u64) {
        self.text.push_str(&value.to_string());
    }

    #[inline(never)]
    fn float(&mut self, value: f64) {
        if !value.is_finite() {
            return self.put("null");
        }
        let text = fraction(value);
        self.text.push_str(&text);
        if !text.contains(['.', 'e']) {
            self.text.push_str(".0");
        }
    }

    #[inline(never)]
    fn line(&mut self) {
        if self.pretty {
            self.text.push('\n');
            for _ in 0..self.depth {
                self.text.push_str("  ");
            }
        }
    }

    #[inline(never)]
    fn open(&mut self, brackets: [char; 2]) -> Group<'_> {
        self.text.push(brackets[0]);
        self.depth += 1;
        Group {
            out: self,
            end: brackets[1],
            empty: true,
            around: false,
        }
    }

    /// `{"word":` of a choice with content; the group ends with a brace more.
    #[inline(never)]
    fn around(&mut self, word: &str) {
        self.text.push('{');
        self.depth += 1;
        self.line();
        self.name(word);
    }

    #[inline(never)]
    fn around_end(&mut self) {
        self.depth -= 1;
        self.line();
        self.text.push('}');
    }

    #[inline(never)]
    fn name(&mut self, name: &str) {
        self.quoted(name);
        self.text.push_str(if self.pretty { ": " } else { ":" });
    }
}

/// A list or an object that is being written.
struct Group<'a> {
    out: &'a mut Out,
    end: char,
    empty: bool,
    /// It is the content of a choice.
    around: bool,
}

impl Group<'_> {
    #[inline(never)]
    fn next(&mut self) {
        if !self.empty {
            self.out.text.push(',');
        }
        self.empty = false;
        self.out.line();
    }

    #[inline(never)]
    fn field(&mut self, name: &str) {
        self.next();
        self.out.name(name);
    }

    #[inline(never)]
    fn finish(self) {
        self.out.depth -= 1;
        if !self.empty {
            self.out.line();
        }
        self.out.text.push(self.end);
        if self.around {
            self.out.around_end();
        }
    }
}

const LIST: [char; 2] = ['[', ']'];
const OBJECT: [char; 2] = ['{', '}'];

macro_rules! write_by {
    ($($method:ident($kind:ty) $put:ident as $wide:ty,)*) => {$(
        fn $method(self, value: $kind) -> Result<(), Unwritten> {
            self.$put(<$wide>::from(value));
            Ok(())
        }
    )*};
}

impl<'a> Serializer for &'a mut Out {
    type Ok = ();
    type Error = Unwritten;
    type SerializeSeq = Group<'a>;
    type SerializeTuple = Group<'a>;
    type SerializeTupleStruct = Group<'a>;
    type SerializeTupleVariant = Group<'a>;
    type SerializeMap = Group<'a>;
    type SerializeStruct = Group<'a>;
    type SerializeStructVariant = Group<'a>;

    write_by! {
        serialize_i8(i8) whole as i64,
        serialize_i16(i16) whole as i64,
        serialize_i32(i32) whole as i64,
        serialize_i64(i64) whole as i64,
        serialize_u8(u8) natural as u64,
        serialize_u16(u16) natural as u64,
        serialize_u32(u32) natural as u64,
        serialize_u64(u64) natural as u64,
        serialize_f32(f32) float as f64,
        serialize_f64(f64) float as f64,
    }

    fn serialize_bool(self, value: bool) -> Result<(), Unwritten> {
        self.put(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Unwritten> {
        self.quoted(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Unwritten> {
        self.quoted(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Unwritten> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), Unwritten> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritten> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unwritten> {
        self.put("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritten> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        word: &'static str,
    ) -> Result<(), Unwritten> {
        self.quoted(word);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unwritten> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        word: &'static str,
        value: &T,
    ) -> Result<(), Unwritten> {
        self.around(word);
        value.serialize(&mut *self)?;
        self.around_end();
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Group<'a>, Unwritten> {
        Ok(self.open(LIST))
    }

    fn serialize_tuple(self, _: usize) -> Result<Group<'a>, Unwritten> {
        Ok(self.open(LIST))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Group<'a>, Unwritten> {
        Ok(self.open(LIST))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        word: &'static str,
        _: usize,
    ) -> Result<Group<'a>, Unwritten> {
        self.around(word);
        let group = self.open(LIST);
        Ok(Group {
            around: true,
            ..group
        })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Group<'a>, Unwritten> {
        Ok(self.open(OBJECT))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Group<'a>, Unwritten> {
        Ok(self.open(OBJECT))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        word: &'static str,
        _: usize,
    ) -> Result<Group<'a>, Unwritten> {
        self.around(word);
        let group = self.open(OBJECT);
        Ok(Group {
            around: true,
            ..group
        })
    }
}

macro_rules! items {
    ($($kind:ident $method:ident,)*) => {$(
        impl $kind for Group<'_> {
            type Ok = ();
            type Error = Unwritten;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritten> {
                self.next();
                value.serialize(&mut *self.out)
            }

            fn end(self) -> Result<(), Unwritten> {
                self.finish();
                Ok(())
            }
        }
    )*};
}

items! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! fields {
    ($($kind:ident,)*) => {$(
        impl $kind for Group<'_> {
            type Ok = ();
            type Error = Unwritten;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Unwritten> {
                self.field(name);
                value.serialize(&mut *self.out)
            }

            fn end(self) -> Result<(), Unwritten> {
                self.finish();
                Ok(())
            }
        }
    )*};
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}

impl SerializeMap for Group<'_> {
    type Ok = ();
    type Error = Unwritten;

    // Keys are texts in every wire type.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritten> {
        self.next();
        key.serialize(&mut *self.out)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritten> {
        self.out.put(if self.out.pretty { ": " } else { ":" });
        value.serialize(&mut *self.out)
    }

    fn end(self) -> Result<(), Unwritten> {
        self.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Serialize)]
    enum Choice {
        None,
        One(u8),
        Two(u8, u8),
        Named { a: Option<char>, b: f64 },
    }

    #[test]
    fn it_is_what_others_write() -> Result<(), Box<dyn std::error::Error>> {
        let value = json!({
            "": [], "o": {}, "n": null, "t": [true, false, -1, 18_446_744_073_709_551_615_u64, 1.5, 2.0],
            "text": "\"\\/ \n\r\t\u{8}\u{c}\u{1}\u{7f} é 🦀", "deep": {"a": [{"b": [[1]]}]}
        });
        assert_eq!(to_text(&value)?, serde_json::to_string(&value)?);
        assert_eq!(to_pretty(&value), serde_json::to_string_pretty(&value)?);
        let choices = [
            Choice::None,
            Choice::One(1),
            Choice::Two(1, 2),
            Choice::Named {
                a: Some('x'),
                b: 0.1,
            },
        ];
        assert_eq!(to_text(&choices)?, serde_json::to_string(&choices)?);
        assert_eq!(to_pretty(&choices), serde_json::to_string_pretty(&choices)?);
        Ok(())
    }
}
