package tencentchat

import (
	"fmt"
	"slices"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
	"github.com/ringback-go/ringback/internal/strictjson"
)

// A Source says who has decided.
type Source uint8

// Who has decided. The zero value is nobody.
const (
	Undecided      Source = iota
	Answered              // the app
	AllowedOnFault        // the policy, see Decision.Fault
	RefusedOnFault        // the policy, see Decision.Fault
	sourcesEnd
)

// String returns the name.
func (s Source) String() string {
	if s >= sourcesEnd {
		return "unknown"
	}
	return [...]string{"undecided", "answered", "allowed on fault", "refused on fault"}[s]
}

// A Decision is what became of a question. The zero value allows nothing.
type Decision struct {
	Source Source
	// Fault is why the app decided nothing: [ErrTimeout], [ErrUnreachable] or
	// [ErrAnswer]. Nil when it has answered.
	Fault error
	// Code is 0 for allowed, 1 for forbidden, 2 for a message to be dropped
	// without telling its sender, and one of the command's range for a refusal
	// to be passed to the caller with Info. Always 0 for questions about
	// friends.
	Code int
	Info string
	// MsgBody and CloudCustomData replace those of the message. Empty and nil
	// leave them.
	MsgBody         []event.MsgElem
	CloudCustomData *string
	// RefusedMembers are the invited who stay out.
	RefusedMembers []string
	// Results are the answers about friends, one for each account asked about.
	Results []FriendResult
}

// A FriendResult is the answer about one account: code 0, or 38000 to 39000 for
// a refusal.
type FriendResult struct {
	Account string
	Code    int
	Info    string
}

// Allowed reports whether what was asked may happen, for one account at least
// where it concerns several. About each of those ask [Decision.AllowedFor].
func (d Decision) Allowed() bool {
	return d.Source != Undecided && d.Source != RefusedOnFault && d.Code == codeAllow &&
		(len(d.Results) == 0 || slices.ContainsFunc(d.Results, func(r FriendResult) bool { return r.Code == codeAllow }))
}

// AllowedFor is Allowed for one account of those invited or asked about.
func (d Decision) AllowedFor(account string) bool {
	if !d.Allowed() || slices.Contains(d.RefusedMembers, account) {
		return false
	}
	return len(d.Results) == 0 || slices.ContainsFunc(d.Results, func(r FriendResult) bool { return r.Account == account && r.Code == codeAllow })
}

// codes are what a before-command may be answered with.
type codes struct {
	own      codeRange // empty for questions about friends
	drop     bool
	rewrite  bool // MsgBody and CloudCustomData
	members  bool // RefusedMembers_Account
	accounts bool // ResultItem, required
}

// codesOf returns the codes of a before-command, false for other commands.
func codesOf(command string) (codes, bool) {
	switch command {
	case event.CommandC2CBeforeSendMsg:
		return codes{own: c2cCodes, drop: true, rewrite: true}, true
	case event.CommandGroupBeforeSendMsg:
		return codes{own: groupCodes, drop: true, rewrite: true}, true
	case event.CommandBeforeCreateGroup, event.CommandBeforeCreateTopic, event.CommandBeforeApplyJoinGroup:
		return codes{own: groupCodes}, true
	case event.CommandBeforeInviteJoinGroup:
		return codes{own: groupCodes, members: true}, true
	case event.CommandPrevFriendAdd, event.CommandPrevFriendResponse:
		return codes{accounts: true}, true
	}
	return codes{}, false
}

func (c codes) has(code int) bool {
	return code == codeAllow || !c.accounts && (code == codeForbid || c.drop && code == codeDrop || c.own.has(code))
}

// judge reads an answer. Every error is [ErrAnswer].
func judge(body []byte, asked event.Packet) (Decision, error) {
	bad := func(what string) (Decision, error) { return Decision{}, fmt.Errorf("%w: %s", ErrAnswer, what) }
	var answer struct {
		Status     string          `json:"ActionStatus"`
		Info       string          `json:"ErrorInfo"`
		Code       *int            `json:"ErrorCode"`
		MsgBody    []event.MsgElem `json:"MsgBody"`
		CustomData *string         `json:"CloudCustomData"`
		Refused    []string        `json:"RefusedMembers_Account"`
		Items      []struct {
			Account string `json:"To_Account"`
			Code    *int   `json:"ResultCode"`
			Info    string `json:"ResultInfo"`
		} `json:"ResultItem"`
	}
	if err := strictjson.Unmarshal(body, &answer); err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	may, _ := codesOf(asked.Command())
	switch {
	case answer.Status != statusOK:
		return bad("ActionStatus is not OK")
	case answer.Code == nil || !may.has(*answer.Code):
		return bad("ErrorCode is missing or none of the command's")
	}
	d := Decision{Source: Answered, Code: *answer.Code, Info: answer.Info}
	if d.Code == codeAllow && may.rewrite {
		d.MsgBody, d.CloudCustomData = answer.MsgBody, answer.CustomData
	}
	if d.Code == codeAllow && may.members {
		d.RefusedMembers = answer.Refused
	}
	if !may.accounts {
		return d, nil
	}
	results := make(map[string]FriendResult, len(answer.Items))
	for _, item := range answer.Items {
		if _, twice := results[item.Account]; twice {
			return bad("an account has two results")
		}
		if item.Code == nil || *item.Code != codeAllow && !friendCodes.has(*item.Code) {
			return bad("ResultCode is missing or out of its range")
		}
		results[item.Account] = FriendResult{item.Account, *item.Code, item.Info}
	}
	for _, account := range accountsOf(asked) {
		r, answered := results[account]
		if !answered {
			return bad("an account has no result")
		}
		d.Results = append(d.Results, r)
	}
	return d, nil
}

// byPolicy decides in the place of an app that did not.
func byPolicy(policy Policy, asked event.Packet, fault error) Decision {
	d := Decision{Source: AllowedOnFault, Fault: fault}
	item := codeAllow
	may, _ := codesOf(asked.Command())
	if policy == RefuseOnFault {
		d.Source = RefusedOnFault
		if item = friendCodes.from; !may.accounts {
			d.Code = codeForbid
		}
	}
	for _, account := range accountsOf(asked) {
		d.Results = append(d.Results, FriendResult{Account: account, Code: item})
	}
	return d
}
