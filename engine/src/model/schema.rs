//! Schemas of the forms that are read by hand.

use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Ref,
    Schema, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::{CaseSpec, ConditionSpec, FieldSpec, NoMatch, OperationSpec, StepSpec, Then};

type Schemas = Vec<(String, RefOr<Schema>)>;

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

/// Adds `T` and what it refers to, once; the forms refer to each other.
fn collect<T: ToSchema>(schemas: &mut Schemas) {
    let name = T::name();
    if !schemas.iter().any(|(known, _)| *known == name) {
        schemas.push((name.into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

fn word(word: &str, description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([word]))
        .description(Some(description))
        .build()
}

fn tagged(tag: &str, description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property(tag, reference::<OperationSpec>())
        .required(tag)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .description(Some(description))
        .build()
}

fn any() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .build()
}

fn text(description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .build()
}

/// Scalars, compared as texts.
pub(super) fn texts() -> impl Into<RefOr<Schema>> {
    let scalar = [Type::String, Type::Number, Type::Boolean]
        .into_iter()
        .fold(AnyOfBuilder::new(), |any, kind| {
            any.item(ObjectBuilder::new().schema_type(kind))
        });
    ArrayBuilder::new().items(scalar)
}

impl PartialSchema for Then {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .description(Some(
                "What a matched rule does: `drop`, or a list of steps.",
            ))
            .item(word("drop", "The event is dropped."))
            .item(
                ArrayBuilder::new()
                    .items(reference::<StepSpec>())
                    .min_items(Some(1)),
            )
            .into()
    }
}

impl ToSchema for Then {
    fn schemas(schemas: &mut Schemas) {
        collect::<StepSpec>(schemas);
    }
}

impl PartialSchema for StepSpec {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .description(Some("One step: `drop`, `{deliver: …}` or `{hold: …}`."))
            .item(word("drop", "Ends the event here."))
            .item(tagged("deliver", "Sends the operation."))
            .item(tagged(
                "hold",
                "Renders the operation and waits for a person.",
            ))
            .into()
    }
}

impl ToSchema for StepSpec {
    fn schemas(schemas: &mut Schemas) {
        collect::<OperationSpec>(schemas);
    }
}

impl PartialSchema for NoMatch {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .description(Some(
                "What happens to an event no rule matches: `keep`, `drop` or `{deliver: …}`.",
            ))
            .item(word("keep", "Recorded as unmatched."))
            .item(word("drop", "Recorded as dropped."))
            .item(tagged("deliver", "Sent to a default target."))
            .into()
    }
}

impl ToSchema for NoMatch {
    fn schemas(schemas: &mut Schemas) {
        collect::<OperationSpec>(schemas);
    }
}

/// The object forms; a case adds `when`.
fn forms(case: bool) -> [Object; 5] {
    let form = || {
        let builder = ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        if case {
            builder.property("when", conditions()).required("when")
        } else {
            builder
        }
    };
    [
        form()
            .property("value", any())
            .required("value")
            .description(Some("A literal."))
            .build(),
        form()
            .property("template", text("A template."))
            .required("template")
            .description(Some("A template."))
            .build(),
        form()
            .property("path", text("A JSONPath."))
            .required("path")
            .description(Some("The first node as it is; left out if there is none."))
            .build(),
        form()
            .property("path", text("A JSONPath."))
            .property(
                "values",
                ObjectBuilder::new()
                    .schema_type(Type::Object)
                    .additional_properties(Some(Schema::Object(any())))
                    .description(Some("From text form to literal.")),
            )
            .property("default", reference::<FieldSpec>())
            .required("path")
            .required("values")
            .description(Some("A value map."))
            .build(),
        form()
            .property("cases", ArrayBuilder::new().items(reference::<CaseSpec>()))
            .property("else", reference::<FieldSpec>())
            .required("cases")
            .description(Some("The first case whose conditions hold."))
            .build(),
    ]
}

/// One condition or a list of them.
pub(super) fn conditions() -> impl Into<RefOr<Schema>> {
    OneOfBuilder::new()
        .item(reference::<ConditionSpec>())
        .item(ArrayBuilder::new().items(reference::<ConditionSpec>()))
}

impl PartialSchema for FieldSpec {
    fn schema() -> RefOr<Schema> {
        let bare = AnyOfBuilder::new()
            .item(text("A template: `Alert: {{ monitor.name | upper }}`."))
            .item(ObjectBuilder::new().schema_type(Type::Number).description(Some("A literal.")))
            .item(ObjectBuilder::new().schema_type(Type::Boolean).description(Some("A literal.")))
            .item(ObjectBuilder::new().schema_type(Type::Null).description(Some("A literal.")))
            .description(Some("Where the value of a field comes from."))
            .examples([
                json!("Alert: {{ monitor.name }}"),
                json!({"value": "Service Board"}),
                json!({"path": "$"}),
                json!({"path": "$.level", "values": {"high": "Priority 1"}, "default": "Priority 3"}),
                json!({
                    "cases": [{
                        "when": {"path": "$.weight", "op": "gte", "value": 100},
                        "value": "Priority 1",
                    }],
                    "else": "Priority 3",
                }),
            ]);
        forms(false)
            .into_iter()
            .fold(bare, AnyOfBuilder::item)
            .into()
    }
}

impl ToSchema for FieldSpec {
    fn schemas(schemas: &mut Schemas) {
        collect::<CaseSpec>(schemas);
    }
}

impl PartialSchema for CaseSpec {
    fn schema() -> RefOr<Schema> {
        let builder = AnyOfBuilder::new().description(Some("One case of a conditional field."));
        forms(true)
            .into_iter()
            .fold(builder, AnyOfBuilder::item)
            .into()
    }
}

impl ToSchema for CaseSpec {
    fn schemas(schemas: &mut Schemas) {
        collect::<ConditionSpec>(schemas);
        collect::<FieldSpec>(schemas);
    }
}
