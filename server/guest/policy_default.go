package guest

// DefaultPolicy is a policy file that says what holds without one, for a person
// to edit.
const DefaultPolicy = `# What the Guest may spend. Only you edit this file. It is read anew for each
# payment, and while it can't be understood nothing is paid.
# Amounts are US dollars, in quotes.

per_payment = "25.00" # the most for one call, such as a booking with all its seats
per_day = "50.00"     # the most within 24 hours, to all hosts together
per_host = "25.00"    # the most within 24 hours, to one host
ask_above = "1.00"    # what costs more needs your yes; "0" asks each time

# Without these, USDC is paid to anybody, on the network that the command names.
# networks = ["base-sepolia"] # or "base", "devnet", or such as "eip155:8453"
# assets = ["USDC"]           # or its address
# payees = ["0x209693Bc6afc0C5328bA36FaF03C514EF312287C"]
`
