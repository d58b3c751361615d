package main

// Run is main without the process, which is a child if RoleEnv is set.
var Run = run

// RoleEnv gives a process its role.
const RoleEnv = roleEnv

// Complaint is what run returns for a row that lost so many.
func Complaint(name string, lost int) error {
	return complaint([]result{{Name: "memory"}, {Name: name, Lost: lost}})
}
