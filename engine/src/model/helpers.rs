//! Reading the forms that have more than one spelling.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;

/// A list, or one entry without the list.
pub(super) fn one_or_many<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct OneOrMany<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a condition or a list of conditions")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = seq.next_element()? {
                list.push(entry);
            }
            Ok(list)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
            T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|one| vec![one])
        }
    }

    deserializer.deserialize_any(OneOrMany(PhantomData))
}

/// A value that is there, even if it is null; absent ones come from `#[serde(default)]`.
pub(super) fn present<'de, D>(deserializer: D) -> Result<Option<Value>, D::Error>
where
    D: Deserializer<'de>,
{
    Value::deserialize(deserializer).map(Some)
}

/// A list of scalars, kept as text forms.
pub(super) fn texts<'de, D>(deserializer: D) -> Result<Vec<String>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Text(String);

    impl<'de> Deserialize<'de> for Text {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(TextVisitor)
        }
    }

    struct TextVisitor;

    impl Visitor<'_> for TextVisitor {
        type Value = Text;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text, a number or a boolean")
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<Text, E> {
            Ok(Text(value.to_owned()))
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<Text, E> {
            Ok(Text(value.to_string()))
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
            Ok(Text(value.to_string()))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
            Ok(Text(value.to_string()))
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<Text, E> {
            serde_json::Number::from_f64(value)
                .map(|number| Text(number.to_string()))
                .ok_or_else(|| E::custom("a number must be finite"))
        }
    }

    let texts = Vec::<Text>::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|Text(text)| text).collect())
}
