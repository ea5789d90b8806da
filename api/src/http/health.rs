//! health
/// x
pub async fn redis(_core: &crate::core::Core) -> Option<bool> {
    None
}
