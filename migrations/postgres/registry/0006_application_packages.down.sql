-- Takes back 0006_application_packages.up.sql: the tables go with everything in them.

drop table apprtag;
drop table apprtagkind;
drop table apprmanifestlistmanifest;
drop table apprmanifestlist;
drop table apprmanifestblob;
drop table apprmanifest;
drop table apprblobplacement;
drop table apprblob;
drop table apprblobplacementlocation;
