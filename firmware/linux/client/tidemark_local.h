/*
 * tidemark_local.h: the datagrams between an application and the agent on the same machine (docs/spec/local-api.md).
 *
 * A datagram is a head that names slot and model, then records. It carries its whole context, so the agent remembers
 * nothing about its applications and either side may restart at any time. Integers and floats are little-endian.
 *
 *     head    'T' 'M' version slot_length model[16] slot[slot_length]
 *     record  type zero u16 length, then length bytes of body
 *
 * Shared by the agent and the client library: constants only.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TIDEMARK_LOCAL_H
#define TIDEMARK_LOCAL_H

#define TM_LOCAL_VERSION 1
#define TM_LOCAL_DATAGRAM_MAX 16384
#define TM_LOCAL_HEAD_SIZE 20  /* without the slot's name */
#define TM_LOCAL_MODEL_SIZE 16 /* first bytes of the manifest digest; zeros: whatever runs */
#define TM_LOCAL_RECORD_HEAD 4
#define TM_LOCAL_SLOT_MAX 128
#define TM_LOCAL_TEXT_MAX 64 /* a group, category or class */
#define TM_LOCAL_FEATURES_MAX 1024
#define TM_LOCAL_TEXTS_MAX 255
#define TM_LOCAL_PREDICTION 0xFFFFu /* as the feature number of a text: the prediction itself */

enum {
    /* empty; answered with TM_RECORD_ATTACHED */
    TM_RECORD_ATTACH = 1,
    /* u64 id, u32 latency_us, f32 prediction, f32 score, u16 feature_count, u8 group_length, u8 text_count,
     * f32 features[feature_count], group, then text_count times {u16 feature, u8 length, bytes} */
    TM_RECORD_OBSERVE = 2,
    /* u64 id, f32 value, u8 length, bytes (the class by name; then value is not looked at) */
    TM_RECORD_LABEL = 3,
    /* u32 count: inferences that failed */
    TM_RECORD_ERROR = 4,
    /* empty; answered with TM_RECORD_STATUS_IS */
    TM_RECORD_STATUS = 5,
    /* u8 running (0: no model yet), u8 zero, u16 feature_count, model[16] */
    TM_RECORD_ATTACHED = 0x81,
    /* JSON text */
    TM_RECORD_STATUS_IS = 0x85,
};

#define TM_OBSERVE_SIZE 24 /* fixed part of an observation */
#define TM_LABEL_SIZE 13

#endif
