//! What a run obeys, and which rule a twin of it does not.

/// A rule that can be taken out, to see that a registry tells the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Rule {
    /// A tag that ended exactly a window ago goes.
    TheBoundaryIsPast,
    /// A dead tag inside its window is no garbage.
    WindowsAreWaitedFor,
    /// A window that nobody can have meant counts as the longest, 285 years.
    AbsurdWindowsKeep,
    /// Immutable tags stay, where they are asked to.
    ImmutableTagsStay,
    /// A tag that one which stays is linked to stays.
    LinkedTagsStay,
    /// What belongs to a disabled owner stays.
    DisabledOwnersKeep,
    /// Dead tags protect as long as they are there.
    DeadTagsProtect,
    /// A list holds its children.
    ListsHold,
    /// A referrer holds its subject.
    ReferrersHold,
    /// A referrer holds nothing in another repository.
    ReferrersHoldAtHome,
    /// Pull statistics go by name, those of a living tag too.
    StatisticsGoByName,
    /// An upload that expires now has expired.
    UploadsExpireNow,
    /// An upload protects its blob.
    UploadsProtect,
    /// A blob that any repository has stays.
    OthersShareBlobs,
    /// A blob without a placement stays.
    PlaceholdersStay,
    /// A label that another manifest has stays.
    LabelsAreShared,
    /// The object of the empty layer stays.
    TheEmptyLayerStays,
    /// Of a total only a complete one is subtracted from, only a started one is reset.
    TotalsAreBegun,
    /// What the rest of the namespace has is not subtracted from its total.
    NamespacesShareBlobs,
    /// A purge takes immutable tags as well.
    PurgesTakeImmutable,
}

impl Rule {
    pub(in super::super) const ALL: [Self; 20] = [
        Self::TheBoundaryIsPast,
        Self::WindowsAreWaitedFor,
        Self::AbsurdWindowsKeep,
        Self::ImmutableTagsStay,
        Self::LinkedTagsStay,
        Self::DisabledOwnersKeep,
        Self::DeadTagsProtect,
        Self::ListsHold,
        Self::ReferrersHold,
        Self::ReferrersHoldAtHome,
        Self::StatisticsGoByName,
        Self::UploadsExpireNow,
        Self::UploadsProtect,
        Self::OthersShareBlobs,
        Self::PlaceholdersStay,
        Self::LabelsAreShared,
        Self::TheEmptyLayerStays,
        Self::TotalsAreBegun,
        Self::NamespacesShareBlobs,
        Self::PurgesTakeImmutable,
    ];
}

/// What Quay's flags say, and the rule that is taken out.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Mode {
    /// `FEATURE_IMMUTABLE_TAGS` without `FEATURE_IMMUTABLE_TAGS_CAN_EXPIRE`.
    pub(in super::super) immutable_stays: bool,
    /// `FEATURE_QUOTA_MANAGEMENT`: totals are subtracted from.
    pub(in super::super) subtracts: bool,
    /// `QUOTA_INVALIDATE_TOTALS` without it: totals are reset.
    pub(in super::super) resets: bool,
    pub(in super::super) without: Option<Rule>,
}

impl Mode {
    /// Tells whether a rule holds in this run.
    pub(in super::super) fn has(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
