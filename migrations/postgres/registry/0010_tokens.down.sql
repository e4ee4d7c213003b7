-- Takes back 0010_tokens.up.sql: the tables go with everything in them.

drop table servicekey;
drop table servicekeyapproval;
drop table oauthassignedtoken;
drop table oauthaccesstoken;
drop table oauthauthorizationcode;
drop table oauthapplication;
drop table appspecificauthtoken;
drop table accesstoken;
drop table accesstokenkind;
