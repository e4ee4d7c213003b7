-- Takes back 0007_policies_and_quota.up.sql: the tables go with everything in them.

drop table quotanotificationstate;
drop table quotaregistrysize;
drop table quotarepositorysize;
drop table quotanamespacesize;
drop table quotalimits;
drop table quotatype;
drop table userorganizationquota;
drop table repositoryimmutabilitypolicy;
drop table namespaceimmutabilitypolicy;
drop table autoprunetaskstatus;
drop table repositoryautoprunepolicy;
drop table namespaceautoprunepolicy;
