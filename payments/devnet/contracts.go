package devnet

import (
	_ "embed"

	"github.com/ethereum/go-ethereum/common"
)

// ChainID is Base Sepolia's EIP-155 id.
const ChainID = 84532

// USDC returns the token's address, that of USDC on Base Sepolia.
func USDC() common.Address {
	return common.HexToAddress("0x036CbD53842c5426634e7929541eC2318f3dCF7e")
}

// Multicall3 returns the address that Multicall3 has on every chain.
func Multicall3() common.Address {
	return common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11")
}

// Written by contracts/compile.mjs; code is hexadecimal without 0x.
var (
	//go:embed contracts/build/FiatToken.abi.json
	fiatTokenABI string
	//go:embed contracts/build/FiatToken.bin
	fiatTokenCode string
	//go:embed contracts/build/Multicall3.bin
	multicall3Code string
)
