// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The smallest smart wallet: it approves (EIP-1271) what its owner's key signed. The
/// tests pay with it, and make it answer badly on purpose.
contract OwnerWallet {
    address public owner;
    bool public broken;

    constructor(address owner_) {
        owner = owner_;
    }

    function setBroken(bool broken_) external {
        broken = broken_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        require(!broken, "OwnerWallet: broken");
        if (signature.length != 65) return 0xffffffff;
        address signer = ecrecover(digest, uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64]));
        return signer != address(0) && signer == owner ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}
