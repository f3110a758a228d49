// Package crossminttest is the other end of package crossmint for tests: the part of
// Crossmint's wallet API that makes wallets and has them sign typed data, as the npm
// package @crossmint/wallets-sdk speaks it. Its wallets are real ones: contracts that
// approve what an owner's key signed (EIP-1271), and that say how they are deployed
// as long as they are not (ERC-6492). It hashes what it signs by itself.
//
// [Server] is an [http.Handler]. It keeps what it is asked for in memory, but has
// the same wallet for the same owner whenever it is started with the same Seed.
package crossminttest

import (
	"crypto/ecdsa"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// Options are what a [Server] needs.
type Options struct {
	Key   string            // the one API key
	Chain *ethclient.Client // where its wallets are
	// Creation is the code that deploys a wallet when its owner's address, as the
	// constructor's argument, is put behind it. Factory deploys whatever it is sent:
	// 32 bytes of salt and code, by CREATE2.
	Creation []byte
	Factory  common.Address
	Seed     string // of the owners' keys
	Polls    int    // how often it is asked for a signature in vain
}

// Server answers as Crossmint does.
type Server struct {
	Options
	mux *http.ServeMux

	mu         sync.Mutex
	owners     map[string]*wallet // by owner, such as userId:alice
	wallets    map[common.Address]*wallet
	signatures map[string]*signature // by id
	keys       map[string]string     // idempotency keys, and the ids of what they made
}

type wallet struct {
	owner   string
	key     *ecdsa.PrivateKey
	address common.Address
	deploy  evm.Call
}

// New returns a server without wallets.
func New(o Options) *Server {
	s := &Server{Options: o, mux: http.NewServeMux(), owners: map[string]*wallet{}, wallets: map[common.Address]*wallet{},
		signatures: map[string]*signature{}, keys: map[string]string{}}
	const api = "/api/2025-06-09/wallets"
	s.mux.HandleFunc("POST "+api, s.create)
	s.mux.HandleFunc("GET "+api+"/{locator}", s.show)
	s.mux.HandleFunc("POST "+api+"/{locator}/signatures", s.sign)
	s.mux.HandleFunc("GET "+api+"/{locator}/signatures/{id}", s.signed)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "Cannot find this") })
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-API-KEY") != s.Key {
		refuse(w, http.StatusForbidden, "Invalid API key")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	s.mux.ServeHTTP(w, r)
}

// signerOf is the signer of a wallet in the API's words.
type signerOf struct {
	Type    string `json:"type"`
	Address string `json:"address"`
	Locator string `json:"locator"`
}

func (w *wallet) signer() signerOf {
	address := crypto.PubkeyToAddress(w.key.PublicKey).Hex()
	return signerOf{"api-key", address, "api-key:" + address}
}

func (w *wallet) answer() map[string]any {
	return map[string]any{"chainType": "evm", "type": "smart", "address": w.address.Hex(), "owner": w.owner,
		"config": map[string]any{"adminSigner": w.signer(), "delegatedSigners": []any{}}}
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ChainType, Type, Owner string
		Config                 struct{ AdminSigner struct{ Type string } }
	}
	if !read(w, r, &in) {
		return
	}
	if in.ChainType != "evm" || in.Type != "smart" || in.Config.AdminSigner.Type != "api-key" || !strings.Contains(in.Owner, ":") {
		refuse(w, http.StatusBadRequest, "Only smart wallets of an owner, signed for by the API key, are made here")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	made, ok := s.owners[in.Owner]
	if ok {
		reply(w, http.StatusOK, made.answer())
		return
	}
	made, err := s.newWallet(in.Owner)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.owners[in.Owner], s.wallets[made.address] = made, made
	reply(w, http.StatusCreated, made.answer())
}

func (s *Server) newWallet(owner string) (*wallet, error) {
	salt := crypto.Keccak256Hash([]byte(s.Seed), []byte(owner))
	key, err := crypto.ToECDSA(crypto.Keccak256(salt[:]))
	if err != nil {
		return nil, err
	}
	creation := slices.Concat(s.Creation, common.LeftPadBytes(crypto.PubkeyToAddress(key.PublicKey).Bytes(), 32))
	return &wallet{owner: owner, key: key, address: crypto.CreateAddress2(s.Factory, salt, crypto.Keccak256(creation)),
		deploy: evm.Call{To: x402.Address(s.Factory), Data: slices.Concat(salt[:], creation)}}, nil
}

// find returns the wallet of a locator: its address, or OWNER:evm or OWNER:evm:smart.
func (s *Server) find(w http.ResponseWriter, r *http.Request) *wallet {
	locator := r.PathValue("locator")
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.owners[strings.TrimSuffix(strings.TrimSuffix(locator, ":smart"), ":evm")]
	if common.IsHexAddress(locator) {
		found = s.wallets[common.HexToAddress(locator)]
	}
	if found == nil {
		refuse(w, http.StatusNotFound, "Wallet not found")
	}
	return found
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	if found := s.find(w, r); found != nil {
		reply(w, http.StatusOK, found.answer())
	}
}

func read(w http.ResponseWriter, r *http.Request, in any) bool {
	raw, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(raw, in)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "The body can't be read")
	}
	return err == nil
}

func reply(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // who has hung up needs no answer
}

func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]any{"error": true, "message": message})
}
