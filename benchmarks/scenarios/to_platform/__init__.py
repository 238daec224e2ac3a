"""People of any source to a SCIM-shaped platform over HTTP."""

from scenarios.to_platform import other_sources as more
from scenarios.to_platform import works

WORKS = (
    works.FirstLoad,
    works.Delta,
    works.FewFound,
    works.Rescan,
    more.FromPostgreSql,
    more.FromDirectory,
    more.WithGroups,
    more.FromCsv,
    more.FromFiles,
    more.FromSoap,
)
