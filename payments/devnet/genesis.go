package devnet

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
)

// rules are Base's: everything up to Prague from block 0. The forks after it
// stay unset; with them a transfer would cost 171,000 gas instead of 68,000.
func rules() *params.ChainConfig {
	zero, now := new(big.Int), new(uint64)
	return &params.ChainConfig{
		ChainID:                 big.NewInt(ChainID),
		HomesteadBlock:          zero,
		EIP150Block:             zero,
		EIP155Block:             zero,
		EIP158Block:             zero,
		ByzantiumBlock:          zero,
		ConstantinopleBlock:     zero,
		PetersburgBlock:         zero,
		IstanbulBlock:           zero,
		MuirGlacierBlock:        zero,
		BerlinBlock:             zero,
		LondonBlock:             zero,
		ArrowGlacierBlock:       zero,
		GrayGlacierBlock:        zero,
		TerminalTotalDifficulty: zero,
		ShanghaiTime:            now,
		CancunTime:              now,
		PragueTime:              now,
		BlobScheduleConfig: &params.BlobScheduleConfig{
			Cancun: params.DefaultCancunBlobConfig,
			Prague: params.DefaultPragueBlobConfig,
		},
	}
}

// genesis returns block 0 at the given Unix time: the contracts in place, the
// faucet rich in ether and the only one who may mint USDC.
func genesis(faucet common.Address, unix uint64) (*core.Genesis, error) {
	token, err := hex.DecodeString(strings.TrimSpace(fiatTokenCode))
	if err != nil {
		return nil, fmt.Errorf("embedded code of the token: %w", err)
	}
	multicall, err := hex.DecodeString(strings.TrimSpace(multicall3Code))
	if err != nil {
		return nil, fmt.Errorf("embedded code of Multicall3: %w", err)
	}
	minterSlot := common.Hash{} // FiatToken.sol: slot 0
	alloc := types.GenesisAlloc{
		USDC(): {
			Nonce: 1, Balance: new(big.Int), Code: token,
			Storage: map[common.Hash]common.Hash{minterSlot: common.BytesToHash(faucet[:])},
		},
		Multicall3(): {Nonce: 1, Balance: new(big.Int), Code: multicall},
		faucet:       {Balance: ether(1_000_000_000)},
	}
	maps.Copy(alloc, core.SystemContractAllocs()) // what the rules themselves call
	return &core.Genesis{
		Config:    rules(),
		Timestamp: unix,
		GasLimit:  blockGas,
		BaseFee:   big.NewInt(params.GWei / 100), // as low as a quiet Base, in magnitude
		Alloc:     alloc,
	}, nil
}

// blockGas is the gas limit of a block: some 1,500 payments.
const blockGas = 60_000_000

// ether returns n ETH in wei.
func ether(n int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(n), big.NewInt(params.Ether))
}
