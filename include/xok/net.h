// Network: links, packet rings in the owner's pages, filters that decide whose a frame is (thesis 3.6;
// architecture 3, Network). The kernel moves frames and decides whose they are; it has no addresses of its
// own, keeps no connection and answers nothing.
#ifndef XOK_NET_H
#define XOK_NET_H
#include "cap.h"
#include "layout.h"
#include "types.h"

#define XOK_NIC_MAX 4
#define XOK_NIC_LOOP 0u       // the link inside the machine: frames sent to its own address or a group come back
#define XOK_RING_MAX 4096
#define XOK_FILTER_MAX 16384
#define XOK_FRAME_MAX 65549   // 14 + 65535: with segmentation offload

// ---- Links: exposed in struct xok_net_info. NIC 0 always exists; devices follow.
enum xok_nic_feature {
    XOK_NIC_CSUM = 1,    // takes XOK_TX_CSUM
    XOK_NIC_TSO4 = 2,    // takes XOK_TX_TSO4
    XOK_NIC_TSO6 = 4,
    XOK_NIC_RX_CSUM = 8, // may say XOK_RX_CSUM_OK
    XOK_NIC_RX_TSO = 16, // coalesced segments may arrive as one long frame
    XOK_NIC_DEVICE = 32, // a device, not the loop
};
struct xok_nic_info {
    u8 mac[6];
    u16 mtu;             // of what follows the Ethernet header
    u32 features;
    u32 index;           // of the device among those of its kind
    u32 link;            // 1: up. A predicate may look at the 8-byte word of link and changes
    u32 changes;         // of the link
    u64 rx_frames, rx_bytes, tx_frames, tx_bytes;
    u64 rx_unclaimed;    // no filter matched, or not for this address
    u64 rx_dropped;      // matched, but the ring had no room (see also the rings' own counters)
    u64 tx_refused;      // forged or malformed
    u64 interrupts, polls, doorbells;
};

// ---- Rings. A ring belongs to the name that made it and is a run of physically contiguous pages of that
// name, pinned while the ring stands: one page of header, then the receive descriptors, then the transmit
// descriptors. Both sides walk descriptors in order. A descriptor's `state` says whose it is.
struct xok_ring { // first page. The kernel writes, and never reads
    u64 arrived;   // frames delivered: sleep with a predicate on it (XOK_PRED_NE what was last seen)
    u64 dropped;   // frames for which no descriptor was the kernel's
    u64 bad;       // frames lost to a descriptor that named memory the owner may not write
    u64 bytes;     // delivered
    u64 sent;      // frames done with, the refused ones too: predicates may look at it
    u64 refused;   // frames not sent, see xok_tx.result
    u64 reserved[2];
};

enum xok_desc_state { XOK_DESC_MINE, XOK_DESC_KERNEL, XOK_DESC_SENDING }; // written last, read first

// A frame arrives in one descriptor, or in several when it is longer than `room`.
struct xok_rx { // 32 bytes
    u64 buf;       // library: physical address (page number * 4096 + offset) of the buffer, in pages that the
                   //   ring's name may write. It may go on into the pages that follow
    u32 room;      // library: its bytes, 64..65536
    u32 state;     // library: KERNEL; kernel: MINE when filled
    u32 len;       // kernel: bytes written
    u32 tag;       // kernel: the filter's (0 for a tap)
    u16 flags;     // kernel: XOK_RX_*
    u16 gso_size;  // kernel: with XOK_RX_TSO the payload of each segment that was coalesced
    u32 reserved;
};
enum xok_rx_flag {
    XOK_RX_MORE = 1,    // the frame goes on in the next descriptor
    XOK_RX_CSUM_OK = 2, // transport checksum verified, or the frame never left this machine: do not look at it
    XOK_RX_TSO = 4,
    XOK_RX_SENT = 8,    // in a tap: the frame went out
};

// A frame to send: its bytes are the parts in order. The first part is the head: up to XOK_TX_HEAD bytes of
// it are copied, checked and sent from the kernel's copy (what is checked is what is sent); all else is sent
// from where it lies, its pages pinned until state is MINE again. A frame that is all head is done with
// when the call returns.
#define XOK_TX_HEAD 256
#define XOK_TX_PARTS 3
#define XOK_TX_DESCS 16 // descriptors a frame may take: 48 parts
struct xok_part {
    u64 addr;      // physical address, in pages that the presented capability may read
    u32 len;       // 1..65536; may go on into the pages that follow
    u32 reserved;
};
struct xok_tx { // 64 bytes
    u32 state;     // library: KERNEL, the first descriptor of a frame last. Kernel: SENDING, then MINE
    u16 flags;     // XOK_TX_*; of the first descriptor but for MORE
    u8 parts;      // 1..XOK_TX_PARTS
    s8 result;     // kernel: 0 or XOK_E_CAP (forged source), XOK_E_ARG, XOK_E_FULL; of the first descriptor
    u16 csum_start, csum_offset; // XOK_TX_CSUM: the sum over [csum_start, end) goes to csum_start + csum_offset,
                   //   where the pseudo header's sum already is
    u16 gso_size;  // XOK_TX_TSO*: payload of each segment to be cut
    u16 head_len;  //   and the bytes of headers before the payload
    struct xok_part part[XOK_TX_PARTS];
};
enum xok_tx_flag {
    XOK_TX_MORE = 1, // parts go on in the next descriptor
    XOK_TX_CSUM = 2,
    XOK_TX_TSO4 = 4, // with CSUM
    XOK_TX_TSO6 = 8,
    XOK_TX_WAKE = 16, // an interrupt when it is done: without, completions are seen at the next call or arrival
};

struct xok_ring_setup {
    u64 ppn;       // first page of the ring; pages the presented name owns
    u32 rx_count;  // 0 or a power of two 128..4096
    u32 tx_count;  // 0 or a power of two 64..1024
    u32 flags;     // XOK_RING_TAP
    u32 reserved;
};
#define XOK_RING_TAP 1u // a copy of every frame in and out of the link: needs R on the root name
#define XOK_RING_PAGES(rx, tx) (1ul + (u64)(rx) / 128 + (u64)(tx) / 64)
#define XOK_RING_RX(base) ((volatile struct xok_rx *)((u64)(base) + 4096))
#define XOK_RING_TX(base, rx) ((volatile struct xok_tx *)((u64)(base) + 4096 + (u64)(rx) * 32))

struct xok_ring_info { // exposed
    u32 owner;     // name, 0: no such ring
    u32 nic;
    u64 ppn;
    u32 rx_count, tx_count, flags, filters;
};

// ---- Filters. A filter is a conjunction of atoms: `width` bytes at `offset`, read as a big-endian number,
// masked, equal value. A frame goes to the matching filter with the most mask bits (of two with equally many
// bits always the same one). A frame shorter than an atom's field does not match it.
//
// Whose it may be: a filter takes frames from those it beats, and the presented capability must dominate (W)
// whoever got them: the owners of the filters that overlap with it and have no more mask bits, down to the
// first that covers it wholly; the root name where none does. So whoever was given a filter (an address, a
// range of ports by mask) may narrow it and hand the narrower ones on, and nobody else may. The same filter
// twice is XOK_E_BUSY.
//
// What may be sent is the mirror: the frame's source and destination (Ethernet, ARP, IPv4, IPv6, and the
// ports of TCP, UDP and their like) are exchanged and the result classified; the presented capability must
// dominate the owner of the filter that claims it (without any, be the root's). The Ethernet source must be
// the link's address, unless the capability is the root's. So nobody can send from an address and port that
// others would receive at.
//
// Fragments: a later fragment goes where the first one went, as long as the kernel remembers (recent ones,
// arrived in order); then, and for fragments without a first, atoms of XOK_ATOM_TRANSPORT do not match.
enum xok_atom_base {
    XOK_ATOM_FRAME,     // offset from the frame's first byte
    XOK_ATOM_TRANSPORT, // offset from what follows the IPv4 header with its options, or the IPv6 header (and
                        // fragment header). Only in filters that name ethertype (12, 2) 0x0800 or 0x86dd.
                        // Those match no frame whose IP header is cut off, and their atom (20, 1) for IPv6
                        // means the protocol behind a fragment header
};
struct xok_atom {
    u8 base;
    u8 width;      // 1..8
    u16 offset;    // FRAME: offset + width <= 64. TRANSPORT: <= 16
    u32 reserved;
    u64 mask, value; // value & ~mask must be 0
};
#define XOK_FILTER_ATOMS 12
struct xok_filter {
    struct xok_atom atom[XOK_FILTER_ATOMS];
    u32 count;     // 0: everything that is for this link's address or a group
    u32 tag;       // the library's, handed back in xok_rx.tag: its socket, say
};

struct xok_filter_info { // exposed
    u32 id;        // generation << 16 | index; 0: free
    u32 owner;     // name of the ring's owner
    u32 ring;
    u32 tag;
    u64 hits;
    u64 key[6];    // masked words that the kernel compares, as they lie in the frame
    u16 nic, shape; // filters of one shape look at the same bits
    u32 handler;   // not 0: it has one
    u32 handled;   // frames that the handler did not decline
    u32 failed;    // runs that were ended: outside of the regions, out of fuel, a reply that may not be sent
};

// ---- Handlers: downloaded code (docs/downloaded-code.md, class XOK_CODE_HANDLER) bound to a filter. It runs when a
// frame has arrived for it, before anybody is woken and whoever has the processor; its regions are
//   0  the frame, to read: what of it is contiguous, all of it or at least its first 96 bytes
//   1  state: pages of the owner's, to read and write, pinned; into it a message is vectored
//   2  reply, to write: XOK_REPLY_MAX bytes, zero or what this handler left there
// and its result is a verdict. A run that fails is a decline.
#define XOK_REPLY_MAX 496
#define XOK_HANDLER_PAGES 256 // of state, contiguous
#define XOK_HANDLER_FUEL 4096 // instructions a run may take beyond the program's length
enum xok_verdict {
    XOK_VERDICT_DECLINE = 0, // the frame goes to the ring, as without a handler
    XOK_VERDICT_DONE = 1,    // it does not
    XOK_VERDICT_REPLY = 2,   // nor, and the first `result >> 16` bytes of reply are sent: a whole frame, checked like
                             //   any other, in the name of the filter's owner
    XOK_VERDICT_WAKE = 4,    // with any: predicates over the first word of state are looked at
};
struct xok_handler {
    u64 code;        // address of a struct xok_code_image, and its bytes; 0: take the handler away
    u32 code_len;
    u32 fuel;        // 0..XOK_HANDLER_FUEL
    u64 state_ppn;   // first page of state
    u32 state_pages; // 1..XOK_HANDLER_PAGES
    u32 reserved;
};

struct xok_net_info {
    u32 nic_count;
    u32 ring_high;   // ring infos at and above were never used
    u32 filter_high; // filter infos likewise
    u32 filter_count;
    struct xok_nic_info nic[XOK_NIC_MAX];
};
#define XOK_NET_VA 0xffffc00008000000ul     // struct xok_net_info
#define XOK_RINGS_VA 0xffffc00009000000ul   // struct xok_ring_info [XOK_RING_MAX]; below ring_high
#define XOK_FILTERS_VA 0xffffc0000a000000ul // struct xok_filter_info [XOK_FILTER_MAX]; below filter_high
#define XOK_NET ((const volatile struct xok_net_info *)XOK_NET_VA)
#define XOK_RINGS ((const volatile struct xok_ring_info *)XOK_RINGS_VA)
#define XOK_FILTERS ((const volatile struct xok_filter_info *)XOK_FILTERS_VA)

#endif
