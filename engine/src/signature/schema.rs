//! The schema of a scheme: one closed object for each `type`.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, Object, ObjectBuilder, OneOfBuilder, Schema, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::preset::PRESETS;
use super::scheme::{HmacScheme, PresetOptions, Scheme, TimestampScheme, TokenHeader};

type Schemas = Vec<(String, RefOr<Schema>)>;

/// The fields of `base` beside the tag. They are repeated rather than referred to: a closed
/// object inside an `allOf` would refuse the tag.
fn variant(tag: &str, description: &str, base: RefOr<Schema>) -> Object {
    let mut object = match base {
        RefOr::T(Schema::Object(object)) => object,
        _ => closed(),
    };
    let kind = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([tag]));
    object.properties.insert("type".to_owned(), kind.into());
    object.required.push("type".to_owned());
    object.description = Some(description.to_owned());
    object
}

fn closed() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .build()
}

impl PartialSchema for Scheme {
    fn schema() -> RefOr<Schema> {
        let mut basic = closed();
        basic
            .properties
            .insert("username".to_owned(), String::schema());
        basic.required.push("username".to_owned());
        let own = OneOfBuilder::new()
            .description(Some("How requests of a source are authenticated."))
            .item(variant(
                "none",
                "Everybody may send; must be chosen.",
                closed().into(),
            ))
            .item(variant(
                "bearer",
                "`Authorization: Bearer <token>`.",
                closed().into(),
            ))
            .item(variant("basic", "HTTP basic authentication.", basic.into()))
            .item(variant(
                "header",
                "A token in a header of its own.",
                TokenHeader::schema(),
            ))
            .item(variant(
                "url",
                "A token at the end of the address.",
                closed().into(),
            ))
            .item(variant(
                "hmac",
                "A signature over the raw body.",
                HmacScheme::schema(),
            ));
        PRESETS
            .iter()
            .fold(own, |all, preset| {
                let description = format!("The authentication of {}.", preset.title);
                all.item(variant(preset.name, &description, PresetOptions::schema()))
            })
            .into()
    }
}

impl ToSchema for Scheme {
    fn schemas(schemas: &mut Schemas) {
        <HmacScheme as ToSchema>::schemas(schemas);
        <PresetOptions as ToSchema>::schemas(schemas);
        <TimestampScheme as ToSchema>::schemas(schemas);
    }
}
