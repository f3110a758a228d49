package devnet

import (
	_ "embed"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/params"
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

// DeterministicFactory returns the address of the contract that deploys whatever
// it is sent: 32 bytes of salt and the code, by CREATE2 (EIP-7997).
func DeterministicFactory() common.Address { return params.DeterministicFactoryAddress }

// Written by contracts/compile.mjs; code is hexadecimal without 0x.
var (
	//go:embed contracts/build/FiatToken.abi.json
	fiatTokenABI string
	//go:embed contracts/build/FiatToken.bin
	fiatTokenCode string
	//go:embed contracts/build/Multicall3.bin
	multicall3Code string
)
