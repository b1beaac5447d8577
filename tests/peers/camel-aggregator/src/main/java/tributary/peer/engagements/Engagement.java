package tributary.peer.engagements;

import jakarta.xml.bind.annotation.XmlElement;
import jakarta.xml.bind.annotation.XmlType;

/** That a system has data of a patient. */
@XmlType(name = "EngagementType", propOrder = {"patient", "serviceDomain", "categorization", "logicalAddress",
    "businessObject", "clinicalProcess", "mostRecentContent", "sourceSystem", "creationTime", "updateTime",
    "dataController", "owner"})
public class Engagement {
    @XmlElement(name = "registeredResidentIdentification")
    public String patient;

    public String serviceDomain;
    public String categorization;
    public String logicalAddress;

    @XmlElement(name = "businessObjectInstanceIdentifier")
    public String businessObject;

    @XmlElement(name = "clinicalProcessInterestId")
    public String clinicalProcess;

    public String mostRecentContent;
    public String sourceSystem;
    public String creationTime;
    public String updateTime;
    public String dataController;
    public String owner;
}
