-- Takes back 0001_identity.up.sql: the tables go with everything in them.

drop table redhatsubscriptions;
drop table organizationrhskus;
drop table organizationcontactemail;
drop table deletednamespace;
drop table teamsync;
drop table teammemberinvite;
drop table teammember;
drop table team;
drop table teamrole;
drop table userprompt;
drop table userpromptkind;
drop table emailconfirmation;
drop table robotaccountmetadata;
drop table robotaccounttoken;
drop table federatedlogin;
drop table loginservice;
drop table "user";
