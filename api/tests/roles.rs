//! The table of roles in the documentation against the code.

use api::auth::{Permission, Role};

/// The roles in the order of the columns.
const COLUMNS: [Role; 4] = [Role::Viewer, Role::Operator, Role::Admin, Role::Owner];

#[test]
fn the_table_says_what_the_roles_permit() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/roles.md");
    let page = std::fs::read_to_string(path).expect(path);
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains(':'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    for permission in Permission::ALL {
        let word = format!("`{}`", permission.word());
        let row = rows.iter().find(|row| row[0] == word);
        let row = row.unwrap_or_else(|| panic!("{word} is not in docs/roles.md"));
        assert_eq!(row.len(), 6, "{row:?}");
        for (role, mark) in COLUMNS.iter().zip(&row[2..]) {
            assert_eq!(role.permits(*permission), *mark == "✓", "{word} {role:?}");
        }
    }
    assert_eq!(
        rows.len(),
        Permission::ALL.len(),
        "a row for what is not there"
    );
}
