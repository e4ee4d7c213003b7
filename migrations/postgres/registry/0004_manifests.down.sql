-- Takes back 0004_manifests.up.sql: the tables go with everything in them.

drop table manifestpullstatistics;
drop table manifestsecuritystatus;
drop table manifestlabel;
drop table label;
drop table labelsourcetype;
drop table manifestchild;
drop table manifestblob;
drop table manifest;
drop table mediatype;
